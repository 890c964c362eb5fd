// Messages to the journal of systemd, with fields (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
//
// A service whose standard error is the journal has JOURNAL_STREAM, with the device and the inode of that
// stream (systemd.exec(5)). A child with another standard error inherits the variable, so both are compared.

import CLinux
import Glibc

/// The journal of systemd.
public enum SystemLog {
  /// The priorities of syslog(3).
  public enum Priority: Int, Sendable {
    case error = 3
    case warning = 4
    case notice = 5
    case informational = 6
  }

  private static let socket = "/run/systemd/journal/socket"

  /// Whether standard error is the journal.
  public static let isStandardError: Bool = {
    guard let variable = getenv("JOURNAL_STREAM") else { return false }
    let numbers = String(cString: variable).split(separator: ":").map { UInt64($0) }
    var stat = stat()
    guard numbers.count == 2, fstat(2, &stat) == 0 else { return false }
    return numbers[0] == UInt64(stat.st_dev) && numbers[1] == UInt64(stat.st_ino)
  }()

  /// Sends a message.
  /// - Parameters:
  ///   - fields: further fields; names are capitals, digits and underscores.
  ///   - socket: the journal's socket.
  /// - Returns: false if it was not sent: the caller then writes to standard error.
  public static func send(
    _ message: String, _ priority: Priority, _ fields: [(name: String, value: String)] = [],
    to socket: String? = nil
  ) -> Bool {
    let all =
      [
        ("MESSAGE", message), ("PRIORITY", "\(priority.rawValue)"),
        ("SYSLOG_IDENTIFIER", "imgstore"),
      ]
      + fields.map { ($0.name, $0.value) }
    var bytes: [UInt8] = []
    for (name, value) in all {
      bytes += Array(name.utf8)
      let text = Array(value.utf8)
      if text.contains(0x0a) {
        // A value with a newline has its length before it.
        bytes.append(0x0a)
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: text.count >> (8 * shift))) }
      } else {
        bytes.append(UInt8(ascii: "="))
      }
      bytes += text + [0x0a]
    }
    return clinux_send_datagram(socket ?? SystemLog.socket, bytes, bytes.count) == 0
  }
}
