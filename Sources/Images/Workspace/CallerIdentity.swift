// The user that a snapshot records for a command: the user of the process, and the user who logged in before
// sudo or su.

import Glibc
import Platform

/// The user behind a command.
public enum CallerIdentity {
  /// The user's home directory in passwd(5), for cron jobs and services without HOME.
  public static var homeDirectory: String? {
    guard let home = PasswordFile(KernelFileSystem.shared).user(getuid())?.home, !home.isEmpty
    else { return nil }
    return String(validating: home, as: UTF8.self)
  }

  /// Returns the caller as text: "root", "root (alice)" if alice became root, or the number of a user
  /// without a name.
  static func text(_ fileSystem: any FileSystem) -> String {
    let uid = getuid()
    let users = PasswordFile(fileSystem)
    let own = users.user(uid)?.name ?? "\(uid)"
    guard let login = loginUser(fileSystem), login != uid else { return own }
    return "\(own) (\(users.user(login)?.name ?? "\(login)"))"
  }

  /// Returns the user who logged in (`/proc/self/loginuid`), or who called sudo if the kernel does not record
  /// logins; nil if nobody logged in, as for cron jobs.
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
}
