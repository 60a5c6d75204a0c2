#!/usr/bin/env bash
# Brings the jars of Apache Kafka, the real broker, to target/peers/kafka/lib.
set -euo pipefail

cd "$(dirname "$0")"
kafka=$(cd ../.. && pwd)/target/peers/kafka
cmp -s pom.xml "$kafka/pom.xml" && exit 0

echo "foreshock: fetching Apache Kafka by Maven to target/peers/kafka"
rm -rf "$kafka"
mkdir -p "$kafka"
mvn -q -B -Dstyle.color=never -f pom.xml dependency:copy-dependencies -DoutputDirectory="$kafka/lib" -DincludeScope=runtime |
    sed 's/\x1b\[[0-9;]*m//g'
java -cp "$kafka/lib/*" kafka.Kafka --version | sed 's/^/foreshock: Apache Kafka /'
# Last, so that a fetch that broke off is done anew.
cp pom.xml "$kafka/pom.xml"
