//! A cluster of the default shape at one instant, filled in by hand: every figure another.

use crate::sample::Timestamp;
use crate::sim::cluster::readings::*;

/// Noon of a Monday.
pub const NOON: Timestamp = Timestamp(1_765_195_200_000);

/// Three stores, two MTAs, two proxies, two directory servers.
pub fn cluster() -> Readings {
    let roles: [(&str, usize, usize); 4] = [("store", 3, 8), ("mta", 2, 4), ("proxy", 2, 4), ("ldap", 2, 4)];
    let mut hosts = Vec::new();
    for (role, count, cpus) in roles {
        for place in 1..=count {
            let seed = hosts.len() as f64 + 1.0;
            let service = match role {
                "store" => ServiceReadings::Mailbox(Box::new(mailbox(seed))),
                "mta" => ServiceReadings::Mta(Box::new(mta(seed))),
                "proxy" => ServiceReadings::Proxy(Box::new(proxy(seed))),
                _ => ServiceReadings::Directory(Box::new(directory(seed, place == 1))),
            };
            let name = format!("{role}{place}.mail.example");
            hosts.push(HostReadings { name, answers: true, machine: machine(seed, cpus), service });
        }
    }
    Readings { at: NOON, hosts }
}

/// The first store, MTA, proxy or directory server of `readings`, by its name.
pub fn host<'r>(readings: &'r mut Readings, name: &str) -> &'r mut HostReadings {
    readings.hosts.iter_mut().find(|host| host.name.starts_with(name)).unwrap()
}

pub fn mailbox_of(host: &mut HostReadings) -> &mut MailboxReadings {
    match &mut host.service {
        ServiceReadings::Mailbox(mailbox) => mailbox,
        other => panic!("no store: {other:?}"),
    }
}

pub fn mta_of(host: &mut HostReadings) -> &mut MtaReadings {
    match &mut host.service {
        ServiceReadings::Mta(mta) => mta,
        other => panic!("no MTA: {other:?}"),
    }
}

fn machine(seed: f64, cpus: usize) -> MachineReadings {
    let cpu = |place: usize| CpuReadings {
        user_total: 80_000.25 + seed + place as f64,
        system_total: 20_000.5 + seed,
        iowait_total: 3_000.75 + seed,
        idle_total: 900_000.0 + seed,
        softirq_total: 400.0 + seed,
        steal_total: 12.0 + seed,
    };
    let volume = |mount, size_bytes: f64| VolumeReadings {
        mount,
        device: "sda",
        size_bytes,
        free_bytes: 0.4 * size_bytes,
        files: 1e7,
        files_free: 8e6 + seed,
    };
    MachineReadings {
        boot_at_seconds: 1_761_739_200.0,
        cpus: (0..cpus).map(cpu).collect(),
        load1: 1.25 + seed,
        load5: 1.5,
        load15: 1.75,
        procs_running: 3.0,
        procs_blocked: 1.0,
        context_switches_total: 5e9,
        interrupts_total: 3e9,
        memory_bytes: 16e9,
        memory_available_bytes: 7e9 + seed,
        memory_cached_bytes: 5e9,
        memory_dirty_bytes: 2e7,
        swap_free_bytes: 3.9e9,
        page_faults_total: 8e8,
        open_files: 2_500.0 + seed,
        disks: vec![DiskReadings {
            device: "sda",
            reads_total: 1e6 + seed,
            writes_total: 4e6,
            read_bytes_total: 3e10,
            written_bytes_total: 9e10,
            read_seconds_total: 4_000.5,
            write_seconds_total: 9_000.5,
            busy_seconds_total: 7_000.5,
            weighted_seconds_total: 13_001.0,
            in_flight: 2.0,
        }],
        volumes: vec![volume("/", 50e9), volume("/opt/zimbra", 500e9)],
        network_received_bytes_total: 8e11,
        network_sent_bytes_total: 9e11,
        network_received_packets_total: 1e9,
        network_sent_packets_total: 1.1e9,
        tcp_established: 250.0,
        tcp_time_wait: 90.0,
        tcp_segments_retransmitted_total: 3e5,
        tcp_opened_passively_total: 4e7,
        connections_tracked: 400.0 + seed,
        clock_offset_seconds: -0.000_125,
        clock_is_synchronised: true,
    }
}

fn mailbox(seed: f64) -> MailboxReadings {
    MailboxReadings {
        is_up: true,
        statistics: Some(statistics(seed)),
        heap_used_bytes: 2.5e9 + seed,
        heap_committed_bytes: 4e9,
        heap_max_bytes: 4e9,
        young_used_bytes: 9e8,
        old_used_bytes: 1.6e9,
        old_left_bytes: 1.1e9,
        gc_young_count_total: 41_000.0 + seed,
        gc_young_seconds_total: 1_200.5,
        gc_old_count_total: 3.0,
        gc_old_seconds_total: 4.5,
        jvm_threads: 320.0 + seed,
        soap_requests_total: 5e6 + seed,
        soap_seconds_total: 2e5,
        soap_seconds_max: 1.75,
        imap_commands_total: 9e6,
        imap_seconds_total: 9e4,
        imap_seconds_max: 0.75,
        http_errors_total: 120.0 + seed,
        imap_connections: 62.0,
        imap_ssl_connections: 140.0 + seed,
        database: DatabaseReadings {
            uptime_seconds: 3e6,
            threads_connected: 31.0 + seed,
            threads_running: 3.0,
            queries_total: 8e8,
            slow_queries_total: 900.0,
            row_lock_waits_total: 1_100.0,
            row_lock_seconds_total: 31.5,
            buffer_reads_total: 6e5,
            buffer_read_requests_total: 9e9,
            bytes_sent_total: 4e11,
        },
        process_cpu_seconds_total: 3e5,
        process_resident_bytes: 5e9,
        open_files: 1_400.0 + seed,
        version: 0,
    }
}

fn statistics(seed: f64) -> Statistics {
    let timed = |count: f64, mean_ms: f64| Timed { count: count + seed, mean_ms };
    let command = |protocol, command, count, mean_ms| CommandReadings {
        protocol,
        command,
        timed: timed(count, mean_ms),
    };
    Statistics {
        at: NOON.plus_ms(-20_000),
        lmtp_received_messages: 120.0 + seed,
        lmtp_received_bytes: 9e6,
        lmtp_received_recipients: 138.0,
        lmtp_delivered_messages: 137.0,
        lmtp_delivered_bytes: 1e7,
        database_connections: timed(4_000.0, 0.25),
        directory_lookups: timed(300.0, 1.5),
        messages_added: timed(137.0, 18.5),
        mailbox_lookups: timed(2_000.0, 0.125),
        soap: timed(1_500.0, 42.5),
        imap: timed(2_500.0, 11.25),
        pop: Timed::default(),
        mailbox_cache_hit_percent: 99.5,
        message_cache_hit_percent: 97.25,
        item_cache_hit_percent: 95.5,
        index_writers_mean: 3.0,
        index_opened: 48.0,
        index_opened_cached: 108.0,
        index_written_bytes: 2.5e6,
        index_read_bytes: 7.5e6,
        blob_reads: 310.0,
        blob_seek_percent: 4.0,
        database_pool_active: 6.0 + seed,
        buffer_pool_hits_permille: f64::NAN,
        lmtp_connections: 4.0,
        lmtp_threads: 5.0,
        pop_connections: 2.0,
        pop_threads: 3.0,
        pop_ssl_connections: 1.0,
        imap_connections: 62.0,
        imap_threads: 16.0,
        imap_ssl_connections: 141.0,
        imap_ssl_threads: 22.0,
        http_threads: 51.0,
        http_threads_idle: 40.0,
        soap_sessions: 410.0,
        mailbox_cache_size: 900.0,
        message_cache_size: 1_900.0,
        file_cache_size: 980.0,
        account_cache_size: 4_800.0,
        account_cache_hit_percent: 98.75,
        gc_young_count_total: 41_000.0,
        gc_young_ms_total: 1_200_400.0,
        gc_old_count_total: 3.0,
        gc_old_ms_total: 4_500.0,
        heap_used_bytes: 2.4e9,
        heap_committed_bytes: 4e9,
        young_used_bytes: 8e8,
        old_used_bytes: 1.6e9,
        open_files: 1_398.0,
        commands: vec![
            command(Protocol::Soap, "AuthRequest", 60.0, 55.5),
            command(Protocol::Soap, "SearchRequest", 320.0, 88.25),
            command(Protocol::Soap, "NoOpRequest", 600.0, 12.5),
            command(Protocol::Soap, "GetMsgRequest", 380.0, 30.5),
            command(Protocol::Soap, "GetConvRequest", 170.0, 33.5),
            command(Protocol::Soap, "SyncRequest", 150.0, 44.5),
            command(Protocol::Soap, "SendMsgRequest", 40.0, 130.5),
            command(Protocol::Imap, "FETCH", 1_100.0, 13.5),
            command(Protocol::Imap, "IDLE", 500.0, 4.5),
            command(Protocol::Imap, "SELECT", 350.0, 17.5),
            command(Protocol::Imap, "NOOP", 300.0, 2.5),
            command(Protocol::Imap, "SEARCH", 120.0, 28.5),
            command(Protocol::Imap, "LOGIN", 25.0, 22.5),
            command(Protocol::Pop3, "RETR", 8.0, 9.5),
            command(Protocol::Ldap, "SEARCH", 300.0, 1.5),
            command(Protocol::Sql, "SELECT", 2_800.0, 0.25),
        ],
    }
}

fn mta(seed: f64) -> MtaReadings {
    MtaReadings {
        is_up: true,
        incoming: 1.0,
        active: 12.0 + seed,
        deferred: 64.0,
        hold: 2.0,
        corrupt: 0.0,
        queue_bytes: 5.8e6,
        oldest_active_seconds: 5.0,
        oldest_deferred_seconds: 400_000.0,
        mean_deferred_seconds: 90_000.0,
        queue_statistics: QueueStatistics { at: NOON.plus_ms(-15_000), kilobytes: 5_664.0, requests: 79.0 },
        connects_total: 2e6,
        received_total: 6e5 + seed,
        queued_total: 6e5 + seed,
        submitted_total: 9e4,
        recipients_total: 8e5,
        rejected_total: 1.2e6,
        delivered_total: 5.9e5,
        deferred_total: 2.1e4,
        bounced_total: 900.0,
        removed_total: 5.91e5,
        login_failures_total: 3.3e4,
        lmtp_delay_seconds_total: 21_000.5,
        lmtp_deliveries_total: 4.4e5,
        clamd_is_up: true,
        clamd_threads_live: 2.0,
        clamd_threads_idle: 8.0,
        clamd_threads_max: 10.0,
        clamd_queue: 1.0,
        clamd_database_age_seconds: 9_000.0,
        amavis_busy: 2.0,
        amavis_queue: 3.0,
        dns_lookup_seconds: 0.0025,
    }
}

fn proxy(seed: f64) -> ProxyReadings {
    ProxyReadings {
        is_up: true,
        accepted_total: 8e6 + seed,
        handled_total: 8e6,
        requests_total: 2e7,
        active: 412.0,
        reading: 1.0,
        writing: 6.0,
        waiting: 405.0,
        memcached_is_up: true,
        memcached_hits_total: 9e6,
        memcached_misses_total: 2.7e5,
        memcached_items: 5_800.0,
        probe_seconds: 0.085,
        probe_succeeds: true,
        errors_total: 310.0,
        certificate_end_seconds: 1_772_000_000.0,
    }
}

fn directory(seed: f64, is_master: bool) -> DirectoryReadings {
    DirectoryReadings {
        is_up: true,
        is_master,
        connections: 45.0 + seed,
        read_waiters: 1.0,
        write_waiters: 0.0,
        searches_total: 3e7,
        binds_total: 9e6,
        modifies_total: 2e5,
        entries_total: 5e7,
        bytes_total: 7e10,
        change_seconds: 1_765_195_190.0,
        search_seconds: 0.0016,
    }
}
