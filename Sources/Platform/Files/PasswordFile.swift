// The users of this machine, from /etc/passwd only. A lookup in a directory service (getpwuid) needs
// libraries that a static program does not have.

/// The entries of /etc/passwd (passwd(5)).
public struct PasswordFile: Sendable {
  /// One user.
  public struct User: Sendable {
    /// The login name, in printable form.
    public let name: String
    /// The home directory; empty if the entry names none.
    public let home: [UInt8]
  }
  private var users: [UInt32: User] = [:]

  /// Reads the file. If it cannot be read, there are no users.
  public init(_ fileSystem: any FileSystem) {
    let bytes = try? fileSystem.readSmallFile(
      at: fileSystem.workingDirectory, Array("/etc/passwd".utf8), limitBytes: 1 << 20)
    self.init(parsing: bytes ?? [])
  }

  /// Parses the file. The first entry of a user id counts; malformed lines are ignored.
  public init(parsing bytes: [UInt8]) {
    for line in bytes.split(separator: 0x0a) {
      let fields = line.split(separator: 0x3a, omittingEmptySubsequences: false)
      guard fields.count > 2, let uid = UInt32(String(decoding: fields[2], as: UTF8.self)),
        users[uid] == nil
      else { continue }
      users[uid] = User(
        name: printable(Array(fields[0])), home: fields.count > 5 ? Array(fields[5]) : [])
    }
  }

  /// Returns the user with an id; nil if there is none.
  public func user(_ uid: UInt32) -> User? { users[uid] }
}
