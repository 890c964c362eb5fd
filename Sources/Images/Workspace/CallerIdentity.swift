// Who runs the program, as a snapshot remembers it: the user, and who became that user by sudo or su.
//
// Names are those of /etc/passwd: what a directory service knows is not asked, for that takes libraries that a
// static program does not have.

import Glibc
import Platform

/// The person behind a command.
enum CallerIdentity {
  /// "root", "root (alice)" for a root that alice became, or the number of a user without a name.
  static func text(_ fileSystem: any FileSystem) -> String {
    let uid = getuid()
    let names = names(fileSystem)
    let own = names[uid] ?? "\(uid)"
    guard let login = loginUser(fileSystem), login != uid else { return own }
    return "\(own) (\(names[login] ?? "\(login)"))"
  }

  /// Who logged in (`/proc/self/loginuid`), or called sudo where the kernel does not keep that; nil where nobody
  /// did, as for cron jobs.
  private static func loginUser(_ fileSystem: any FileSystem) -> UInt32? {
    kernelLoginUser(fileSystem) ?? getenv("SUDO_UID").flatMap { UInt32(String(cString: $0)) }
  }

  private static func kernelLoginUser(_ fileSystem: any FileSystem) -> UInt32? {
    guard
      let bytes = try? fileSystem.readSmallFile(
        at: fileSystem.workingDirectory, Array("/proc/self/loginuid".utf8), limitBytes: 64),
      let number = UInt32(
        String(decoding: bytes, as: UTF8.self).prefix { $0.isASCII && $0.isNumber }),
      number != .max
    else { return nil }
    return number
  }

  private static func names(_ fileSystem: any FileSystem) -> [UInt32: String] {
    guard
      let bytes = try? fileSystem.readSmallFile(
        at: fileSystem.workingDirectory, Array("/etc/passwd".utf8), limitBytes: 1 << 20)
    else { return [:] }
    var names: [UInt32: String] = [:]
    for line in bytes.split(separator: 0x0a) {
      let fields = line.split(separator: 0x3a, omittingEmptySubsequences: false)
      guard fields.count > 2, let uid = UInt32(String(decoding: fields[2], as: UTF8.self)),
        names[uid] == nil
      else { continue }
      names[uid] = printable(Array(fields[0]))
    }
    return names
  }
}
