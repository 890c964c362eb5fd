// The protocols between systemd and a service: sockets that it passes (sd_listen_fds(3)), and the state of the
// service (sd_notify(3)). Both are variables of the environment; no library is needed.

import CLinux
import Glibc

/// The service manager that started this process.
public enum ServiceManager {
  /// Returns the sockets that the manager passed to this process, and removes their variables: no other process
  /// should take them for its own.
  public static func takeSockets() -> [Int32] {
    defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) } }
    guard variable("LISTEN_PID").flatMap(Int32.init) == getpid(),
      let count = variable("LISTEN_FDS").flatMap(Int32.init), (1...64).contains(count)
    else { return [] }
    return (3..<(3 + count)).filter { fcntl($0, F_GETFD) >= 0 }
  }

  /// Reports the state of the service: "READY=1", "STOPPING=1", or lines of them. Without a manager that waits
  /// for it, nothing happens.
  /// - Parameter socket: the path of the manager's socket; nil for that of NOTIFY_SOCKET.
  /// - Returns: whether it was sent.
  @discardableResult
  public static func notify(_ state: String, socket: String? = nil) -> Bool {
    guard let path = socket ?? variable("NOTIFY_SOCKET"), !path.isEmpty else { return false }
    let bytes = Array(state.utf8)
    return clinux_send_datagram(path, bytes, bytes.count) == 0
  }

  /// Reports that the service reads its settings again; `notify("READY=1")` follows.
  public static func notifyReloading() {
    notify("RELOADING=1\nMONOTONIC_USEC=\(clinux_clock_monotonic_ns() / 1000)")
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
}
