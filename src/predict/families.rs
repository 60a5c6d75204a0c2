//! What each exporter of the field gives, and whether the faults are known by that alone.
//!
//! A site has rarely all exporters. What a fault shows in the series of one of them must be enough to tell it
//! from the others, while all else that the exporter gives stays where it was.

use std::collections::{BTreeMap, BTreeSet};

use super::pack::{Lead, Movement, builtins};
use super::signals::SignalTable;
use super::signature::{Machine, Moved, Restart, Signatures};
use crate::sample::{Labels, Timestamp};

/// A series as an exporter prints it, one a line: name, then labels as `name=value`.
struct Family {
    name: &'static str,
    series: &'static str,
    /// Faults that show in two or more of its signals, and must be known by them.
    faults: &'static [&'static str],
}

/// They look like faults, are none, and are told from them by what all exporters show.
const HARMLESS: [&str; 3] = ["mail_surge", "request_surge", "mailboxd_restart"];

const FAMILIES: [Family; 15] = [
    Family {
        name: "Carbonio's textfiles of a mailbox store",
        series: "up
            mailboxd_lmtp_rcvd_msgs
            mailboxd_lmtp_dlvd_msgs
            mailboxd_lmtp_conn
            mailboxd_lmtp_threads
            mailboxd_db_conn_ms_avg
            mailboxd_db_pool_size
            mailboxd_ldap_dc_count
            mailboxd_ldap_dc_ms_avg
            mailboxd_mbox_add_msg_ms_avg
            mailboxd_mbox_get_count
            mailboxd_soap_count
            mailboxd_soap_ms_avg
            mailboxd_imap_count
            mailboxd_imap_ms_avg
            mailboxd_imap_conn
            mailboxd_imap_ssl_conn
            mailboxd_imap_threads
            mailboxd_pop_conn
            mailboxd_http_idle_threads
            mailboxd_account_cache_hit_rate
            mailboxd_idx_bytes_read
            mailboxd_bis_read
            mailboxd_gc_minor_ms
            mailboxd_gc_g1_old_generation_ms
            mailboxd_mpool_g1_old_gen_used
            mailboxd_heap_used
            mailboxd_last_extraction_timestamp
            threads_ImapServer
            threads_LmtpServer
            threads_total
            soap_exec_ms_avg command=AuthRequest
            soap_exec_ms_avg command=SearchRequest
            ldap_exec_ms_avg command=search
            sql_exec_ms_avg command=select",
        faults: &[
            "slow_lmtp",
            "heap_leak",
            "heap_burst",
            "index_corruption",
            "imap_storm",
            "memcached_loss",
            "db_pool_exhaustion",
            "slow_ldap",
            "storage_latency",
            "bad_deploy",
        ],
    },
    Family {
        name: "Carbonio's /metrics servlet",
        series: "up
            soap_exec_seconds_count command=NoOpRequest
            soap_exec_seconds_sum command=NoOpRequest
            soap_exec_seconds_max command=NoOpRequest
            soap_exec_seconds_max command=SearchRequest
            soap_exec_seconds_max command=AuthRequest
            imap_exec_seconds_count command=FETCH
            imap_exec_seconds_sum command=FETCH
            imap_exec_seconds_max command=FETCH
            imap_conn
            imap_ssl_conn
            jvm_memory_used_bytes area=heap id=G1_Old_Gen
            jvm_memory_max_bytes area=heap id=G1_Old_Gen
            jvm_gc_live_data_size_bytes
            jvm_gc_pause_seconds_sum action=end
            jvm_threads_live_threads
            process_cpu_usage
            process_files_open_files",
        faults: &["heap_leak", "heap_burst", "imap_storm", "bad_deploy"],
    },
    Family {
        name: "Carbonio's textfiles of an MTA",
        series: "up
            postfix_queue_stat queue=active
            postfix_queue_stat queue=incoming
            postfix_queue_stat queue=deferred
            postfix_queue_stat queue=hold
            postfix_queue_stat_size
            postfix_queue_stat_requests",
        faults: &["dns_failure", "clamd_stuck", "remote_outage", "compromised_account"],
    },
    Family {
        name: "the common exporters in Python",
        series: "up
            zimbra_stats name=received
            zimbra_stats name=delivered
            zimbra_stats name=deferred
            zimbra_stats name=rejected
            zimbra_queue name=active
            zimbra_queue name=incoming
            zimbra_queue name=deferred
            zimbra_queue name=hold
            zimbra_port name=smtp status=open
            zimbra_port name=imaps status=open
            zimbra_port name=lmtp status=open
            zimbra_service_status name=antivirus status=Running
            zimbra_service_status name=amavis status=Running
            zimbra_service_status name=ldap status=Running
            zimbra_service_status name=memcached status=Running
            zimbra_service_status name=mailbox status=Running
            zimbra_service_status name=mta status=Running
            zimbra_service_status name=proxy status=Running
            zimbra_cpu_usage
            zimbra_mem_usage
            zimbra_iowait
            zimbra_disk_usage",
        faults: &[
            "mta_stopped",
            "slow_ldap",
            "clamd_stuck",
            "remote_outage",
            "compromised_account",
            "dns_failure",
            "storage_latency",
            "node_loss",
        ],
    },
    Family {
        name: "the newer exporter in Python",
        series: "up
            zimbra_service_up service=antivirus
            zimbra_service_up service=amavis
            zimbra_service_up service=ldap
            zimbra_service_up service=memcached
            zimbra_service_up service=mailbox
            zimbra_service_up service=mta
            zimbra_service_up service=proxy
            zimbra_port_open port=25
            zimbra_port_open port=7025
            zimbra_port_open port=443
            zimbra_amavis_queue_size
            zimbra_clamav_up
            zimbra_webmail_up
            zimbra_webmail_latency_seconds",
        faults: &["memcached_loss", "bad_deploy", "node_loss", "clamd_stuck", "proxy_upstream_loss"],
    },
    Family {
        name: "postfix_exporter",
        series: "up
            postfix_up path=/var/log/mail.log
            postfix_showq_message_size_bytes_count queue=active
            postfix_showq_message_size_bytes_count queue=incoming
            postfix_showq_message_size_bytes_count queue=deferred
            postfix_showq_message_size_bytes_count queue=hold
            postfix_showq_message_age_seconds_sum queue=active
            postfix_showq_message_age_seconds_sum queue=deferred
            postfix_cleanup_messages_processed_total
            postfix_smtp_deferred_messages_total
            postfix_smtp_delivery_delay_seconds_sum stage=transmission
            postfix_smtpd_connects_total
            postfix_smtpd_messages_processed_total sasl_method=PLAIN
            postfix_smtpd_messages_rejected_total code=554
            postfix_smtpd_messages_rejected_total code=450
            postfix_smtpd_sasl_authentication_failures_total
            postfix_lmtp_delivery_delay_seconds_sum stage=transmission
            postfix_qmgr_messages_inserted_receipients_sum
            postfix_qmgr_messages_removed_total",
        faults: &[
            "mta_stopped",
            "node_loss",
            "slow_lmtp",
            "clamd_stuck",
            "remote_outage",
            "compromised_account",
            "dns_failure",
        ],
    },
    Family {
        name: "openldap_exporter",
        series: "up
            openldap_monitor_counter_object dn=cn=Read,cn=Waiters,cn=Monitor
            openldap_monitored_object dn=cn=Active,cn=Threads,cn=Monitor
            openldap_monitor_operation dn=cn=Search,cn=Operations,cn=Monitor
            openldap_monitor_operation dn=cn=Bind,cn=Operations,cn=Monitor
            openldap_monitor_replication id=001 type=gt",
        faults: &["slow_ldap", "ldap_replica_lag"],
    },
    Family {
        name: "the nginx exporter",
        series: "nginx_up
            nginx_connections_accepted
            nginx_connections_active
            nginx_connections_reading
            nginx_connections_waiting
            nginx_connections_writing
            nginx_http_requests_total",
        faults: &["bad_deploy", "proxy_upstream_loss"],
    },
    Family {
        name: "memcached_exporter",
        series: "memcached_up
            memcached_current_items
            memcached_current_connections
            memcached_commands_total command=get status=miss",
        faults: &["memcached_loss"],
    },
    Family {
        name: "the clamav exporter",
        series: "clamav_up
            clamav_threads_live
            clamav_threads_idle
            clamav_threads_max
            clamav_queue_length
            clamav_database_age",
        faults: &["compromised_account", "clamd_stuck"],
    },
    Family {
        name: "mysqld_exporter",
        series: "mysql_up
            mysql_global_status_threads_connected
            mysql_global_status_threads_running
            mysql_global_status_slow_queries
            mysql_global_status_questions
            mysql_global_status_innodb_row_lock_time
            mysql_global_status_innodb_buffer_pool_reads
            mysql_global_status_aborted_connects",
        faults: &["db_pool_exhaustion"],
    },
    Family {
        name: "node_exporter",
        series: "up
            node_cpu_seconds_total mode=user
            node_cpu_seconds_total mode=system
            node_cpu_seconds_total mode=iowait
            node_cpu_seconds_total mode=idle
            node_load1
            node_memory_MemAvailable_bytes
            node_filesystem_avail_bytes fstype=ext4
            node_filesystem_files_free fstype=ext4
            node_disk_io_time_weighted_seconds_total
            node_disk_io_now
            node_disk_written_bytes_total
            node_pressure_io_waiting_seconds_total
            node_timex_offset_seconds
            node_timex_sync_status
            node_nf_conntrack_entries",
        faults: &["disk_fill", "disk_runaway", "storage_latency", "clock_skew", "node_loss"],
    },
    Family {
        name: "blackbox_exporter",
        series: "probe_success
            probe_duration_seconds
            probe_http_duration_seconds phase=resolve
            probe_ssl_earliest_cert_expiry",
        faults: &["dns_failure", "bad_deploy", "proxy_upstream_loss"],
    },
    Family {
        name: "Telegraf",
        series: "postfix_queue_length queue=active
            postfix_queue_length queue=incoming
            postfix_queue_length queue=deferred
            postfix_queue_length queue=hold
            postfix_queue_age queue=active
            postfix_queue_age queue=deferred
            openldap_search_operations_completed
            openldap_read_waiters
            openldap_active_threads
            procstat_cpu_usage process_name=java
            procstat_cpu_usage process_name=clamd
            procstat_num_fds process_name=java
            procstat_num_threads process_name=java
            procstat_lookup_running process_name=clamd
            cpu_usage_user cpu=cpu-total
            cpu_usage_system cpu=cpu-total
            cpu_usage_iowait cpu=cpu-total
            cpu_usage_idle cpu=cpu-total
            system_load1
            mem_available
            mem_used_percent
            disk_free fstype=ext4
            disk_used_percent fstype=ext4
            disk_inodes_free fstype=ext4
            diskio_weighted_io_time
            diskio_iops_in_progress
            diskio_write_bytes
            nginx_active
            nginx_writing
            nginx_waiting
            mysql_threads_connected
            mysql_threads_running
            mysql_slow_queries
            memcached_curr_items
            memcached_get_misses
            ntpq_offset
            dns_query_query_time_ms
            http_response_response_time
            x509_cert_enddate",
        faults: &[
            "heap_leak",
            "heap_burst",
            "bad_deploy",
            "slow_lmtp",
            "imap_storm",
            "memcached_loss",
            "clamd_stuck",
            "remote_outage",
            "compromised_account",
            "dns_failure",
            "proxy_upstream_loss",
            "slow_ldap",
            "db_pool_exhaustion",
            "node_loss",
            "disk_fill",
            "disk_runaway",
            "storage_latency",
        ],
    },
    Family {
        name: "kube-state-metrics, cAdvisor and the kubelet",
        series: "up
            kube_node_status_condition condition=Ready status=true
            kube_node_status_condition condition=DiskPressure status=true
            kube_pod_container_status_restarts_total container=mailbox
            kube_pod_container_status_waiting_reason reason=CrashLoopBackOff
            kube_deployment_status_replicas_unavailable
            kube_deployment_status_replicas_ready
            kube_deployment_status_observed_generation
            kube_pod_status_phase phase=Pending
            container_memory_working_set_bytes container=mailbox
            container_oom_events_total container=mailbox
            container_cpu_usage_seconds_total container=mailbox
            container_cpu_cfs_throttled_seconds_total container=mailbox
            container_cpu_cfs_throttled_periods_total container=mailbox
            kubelet_volume_stats_available_bytes
            kubelet_volume_stats_used_bytes
            kubelet_volume_stats_inodes_free",
        faults: &["container_oom", "cpu_throttling", "node_loss", "bad_deploy", "disk_fill"],
    },
];

/// Series that have no meaning of their own and are listed because the exporter gives them too.
const NO_SIGNAL: [&str; 7] = [
    "postfix_queue_stat_size",
    "zimbra_stats{name=\"received\"}",
    "nginx_connections_accepted",
    "nginx_connections_reading",
    "memcached_current_connections",
    "clamav_threads_live",
    "clamav_threads_max",
];

/// Faults that one family shows in the same way as another, commoner one: there they come second.
const ALIKE: [(&str, &str); 3] = [
    ("Carbonio's textfiles of an MTA", "dns_failure"),
    ("the clamav exporter", "compromised_account"),
    ("Telegraf", "heap_burst"),
];

fn labels_of(line: &str) -> Labels {
    let mut words = line.split_whitespace();
    let name = ("__name__", words.next().unwrap());
    // The pool's name has spaces in the field.
    let labels = words.map(|word| word.split_once('=').unwrap());
    Labels::new(&[name].into_iter().chain(labels).collect::<Vec<_>>())
}

/// The signals that a family gives.
fn signals_of(table: &SignalTable, family: &Family) -> BTreeSet<u16> {
    let mut signals = BTreeSet::new();
    for line in family.series.lines() {
        let labels = labels_of(line);
        match table.resolve(&labels) {
            Some(signal) => {
                signals.insert(signal.signal);
            }
            None => assert!(NO_SIGNAL.contains(&labels.to_string().as_str()), "{}: {labels}", family.name),
        }
    }
    signals
}

/// The signs of `fault` among `signals`, a signal once, in the fault's order.
fn signs_of(table: &SignalTable, fault: usize, signals: &BTreeSet<u16>) -> Vec<(u16, Movement)> {
    let mut seen = BTreeSet::new();
    let evidence = table.faults()[fault].evidence.iter();
    let signs = evidence.filter_map(|e| Some((table.find(&e.signal)?, e.moves)));
    signs.filter(|(signal, _)| signals.contains(signal) && seen.insert(*signal)).collect()
}

#[test]
fn every_fault_is_known_by_what_one_exporter_shows_of_it() {
    let table = SignalTable::new(&builtins());
    let signatures = Signatures::new(&table);
    let mut wrong = Vec::new();
    for family in &FAMILIES {
        let signals = signals_of(&table, family);
        let mut known = BTreeMap::new();
        for (place, fault) in table.faults().iter().enumerate() {
            let signs = signs_of(&table, place, &signals);
            if signs.len() < 2 || HARMLESS.contains(&fault.name.as_str()) {
                continue;
            }
            known.insert(fault.name.as_str(), signs.len());
            let step_ms = if fault.lead == Lead::Days { 3_600_000 } else { 60_000 };
            let at = |i: i64| Timestamp(i * step_ms);
            let (machine, rarity, by_limit) = (0, 12.0, false);
            let moved: Vec<Moved> = (0..)
                .zip(&signs)
                .map(|(i, &(signal, moves))| Moved {
                    signal,
                    moves,
                    at: at(i),
                    machine,
                    rarity,
                    by_limit,
                    hurts_since: Some(at(i)),
                    may_be_restart: false,
                })
                .collect();
            let restart = if fault.restart > 0.5 { Restart::At(at(0)) } else { Restart::None };
            let measured = signals.iter().map(|signal| (*signal, 1)).collect();
            let machine = Machine { measured, restart };
            let ranked = signatures.rank(&moved, &[machine], at(signs.len() as i64), &|_, _| None);
            let at = ranked.iter().position(|r| r.fault == place);
            let want = usize::from(ALIKE.contains(&(family.name, fault.name.as_str())));
            if at != Some(want) || want == 0 && ranked[0].probability < 0.5 {
                let told: Vec<String> = ranked
                    .iter()
                    .take(3)
                    .map(|r| format!("{} {:.2}", table.faults()[r.fault].name, r.probability))
                    .collect();
                wrong.push(format!("{}: {} of {} signs: {told:?}", family.name, fault.name, signs.len()));
            }
        }
        let missing: Vec<_> = family.faults.iter().filter(|f| !known.contains_key(**f)).collect();
        let unlisted: Vec<_> = known.keys().filter(|f| !family.faults.contains(f)).collect();
        if !missing.is_empty() || !unlisted.is_empty() {
            wrong.push(format!("{}: not shown {missing:?}, not listed {unlisted:?}", family.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A metric that two signals claim would be one of them by the order of files alone.
#[test]
fn no_series_has_two_meanings() {
    let table = SignalTable::new(&builtins());
    for family in &FAMILIES {
        for line in family.series.lines() {
            let labels = labels_of(line);
            let claims: Vec<&str> = table
                .signals()
                .iter()
                .filter(|signal| signal.from.iter().any(|from| from.select.matches(&labels)))
                .map(|signal| signal.name.as_str())
                .collect();
            assert!(claims.len() <= 1, "{labels}: {claims:?}");
        }
    }
}

#[test]
fn certainty_is_never_claimed() {
    for fault in SignalTable::new(&builtins()).faults() {
        for sign in &fault.evidence {
            assert!((0.2..=0.95).contains(&sign.sure), "{}: {} {}", fault.name, sign.signal, sign.sure);
        }
    }
}
