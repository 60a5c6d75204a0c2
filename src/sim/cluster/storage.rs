//! A storage device: requests that wait for it, and volumes that fill.
//!
//! The mean time of a request is its service time over (1 - utilisation), the time in an M/M/1 queue; a slower
//! device is also a busier one, so that latency rises faster than service time does.

/// Requests a second that the device serves at its own pace.
const REQUESTS_PER_SECOND: f64 = 1_500.0;
const SERVICE_SECONDS: f64 = 0.002;
const UTILISATION_MAX: f64 = 0.985;
/// Threads that can wait for the device at once: what waits for an answer asks for nothing more.
const WAITING_MAX: f64 = 300.0;

/// What one step asks of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    pub reads: f64,
    pub writes: f64,
    pub read_bytes: f64,
    pub written_bytes: f64,
    /// Share of the device that a job takes in big requests.
    pub job_share: f64,
}

/// One device.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    pub reads_total: f64,
    pub writes_total: f64,
    pub read_bytes_total: f64,
    pub written_bytes_total: f64,
    pub read_seconds_total: f64,
    pub write_seconds_total: f64,
    pub busy_seconds_total: f64,
    /// Of the last step: the mean time of a request, how busy it was, and requests under way.
    pub request_seconds: f64,
    pub utilisation: f64,
    pub in_flight: f64,
    waiting: f64,
}

impl Storage {
    /// Serves `work` for `seconds` with a device that is `slowness` times as slow as it should be.
    pub fn step(&mut self, work: &Work, slowness: f64, seconds: f64) {
        let requests = (work.reads + work.writes) / seconds;
        let asked = (requests / REQUESTS_PER_SECOND + work.job_share) * slowness;
        self.utilisation = asked.min(UTILISATION_MAX);
        let capacity = REQUESTS_PER_SECOND * (1.0 - work.job_share.min(0.9)) / slowness;
        self.waiting = (self.waiting + (requests - capacity) * seconds).clamp(0.0, WAITING_MAX);
        let in_turn = SERVICE_SECONDS * slowness / (1.0 - self.utilisation.min(0.95));
        self.request_seconds = in_turn + self.waiting / capacity;
        let job_requests = work.job_share * seconds * 90.0;
        let job_bytes = work.job_share * seconds * 120e6 / slowness;
        let (reads, writes) = (work.reads + 0.6 * job_requests, work.writes + 0.4 * job_requests);
        self.reads_total += reads;
        self.writes_total += writes;
        self.read_bytes_total += work.read_bytes + 0.6 * job_bytes;
        self.written_bytes_total += work.written_bytes + 0.4 * job_bytes;
        self.read_seconds_total += reads * self.request_seconds;
        self.write_seconds_total += writes * self.request_seconds;
        self.busy_seconds_total += self.utilisation * seconds;
        self.in_flight = ((reads + writes) / seconds).min(capacity) * self.request_seconds;
    }
}

/// A file system that fills.
#[derive(Clone, Debug)]
pub struct Volume {
    pub mount: &'static str,
    pub size_bytes: f64,
    pub used_bytes: f64,
    pub files: f64,
    pub files_used: f64,
}

impl Volume {
    pub fn new(mount: &'static str, size_bytes: f64, used_share: f64) -> Self {
        let files = size_bytes / 65_536.0;
        Volume { mount, size_bytes, used_bytes: used_share * size_bytes, files, files_used: 0.1 * files }
    }

    /// Adds bytes; what does not fit is lost.
    pub fn add(&mut self, bytes: f64) {
        self.used_bytes = (self.used_bytes + bytes).clamp(0.0, self.size_bytes);
        self.files_used = (self.files_used + bytes / 75_000.0).clamp(0.0, self.files);
    }

    pub fn free_bytes(&self) -> f64 {
        self.size_bytes - self.used_bytes
    }

    /// Whether nothing can be written; a little is kept for root.
    pub fn is_full(&self) -> bool {
        self.free_bytes() < 0.005 * self.size_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_device_is_a_busy_one() {
        let work = Work { reads: 1000.0, writes: 500.0, ..Work::default() };
        let mut device = Storage::default();
        device.step(&work, 1.0, 5.0);
        let usual = device.request_seconds;
        device.step(&work, 3.0, 5.0);
        assert!(device.request_seconds > 4.0 * usual, "{usual} {}", device.request_seconds);
        device.step(&work, 20.0, 5.0);
        assert_eq!(device.utilisation, UTILISATION_MAX);
    }

    #[test]
    fn a_volume_holds_what_fits() {
        let mut volume = Volume::new("/", 100.0, 0.5);
        volume.add(30.0);
        assert_eq!((volume.free_bytes(), volume.is_full()), (20.0, false));
        volume.add(30.0);
        assert!(volume.is_full());
        volume.add(-60.0);
        assert_eq!(volume.free_bytes(), 60.0);
    }
}
