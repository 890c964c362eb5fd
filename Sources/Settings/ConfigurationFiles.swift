// Finds and loads the configuration files.
//
// 1. A file that does not exist costs one failed call of open(2); the parser is not touched.
// 2. A file that another user can change is refused, because it names programs that run as the caller, and
//    the snapshots that may be removed. The rules are those of the store: root or the caller owns file and
//    directory, and nobody else can write to them.
// 3. root uses no file of a home directory: sudo may keep HOME of the user who called it.

import Platform

/// The configuration files that apply to a command.
public struct ConfigurationFiles: Sendable {
  /// A file to read.
  public struct File: Sendable, Equatable {
    public let path: String
    /// Whether its absence is an error, because the caller named it.
    public let isRequired: Bool
  }

  /// The largest size of a file.
  static let maxBytes = TOMLParser.maxBytes
  /// The name of the file in its directory.
  public static let name = "config.toml"
  /// The directory of the machine's file.
  public static let systemDirectory = "/etc/imgstore"

  /// The files, in the order of their application.
  public let files: [File]

  /// Chooses the files.
  /// - Parameters:
  ///   - option: the value of `--config`; it replaces all other files, as IMGSTORE_CONFIG does.
  ///   - isStaged: whether the root of the management node is another directory. The files of this machine
  ///     do not apply to it.
  ///   - isRoot: whether root runs the command.
  public init(
    option: String?, environment: [String: String], isStaged: Bool, isRoot: Bool
  ) {
    func variable(_ name: String) -> String? {
      environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
    if let named = option ?? variable("IMGSTORE_CONFIG") {
      files = [File(path: named, isRequired: true)]
    } else if let directory = variable("IMGSTORE_CONFIG_DIR") {
      files = [File(path: "\(directory)/\(Self.name)", isRequired: false)]
    } else if isStaged {
      files = []
    } else {
      let home =
        variable("XDG_CONFIG_HOME") ?? variable("HOME").map { $0 + "/.config" }
      let own = isRoot ? nil : home.map { "\($0)/imgstore/\(Self.name)" }
      files = ([Self.systemDirectory + "/" + Self.name] + [own].compactMap(\.self)).map {
        File(path: $0, isRequired: false)
      }
    }
  }

  /// The file that `config edit` changes: the last one.
  public var editable: String? { files.last?.path }

  /// Loads all files.
  /// - Throws: `ConfigurationError` for the first error.
  public func load(_ fileSystem: any FileSystem) throws(ConfigurationError) -> Configuration {
    var configuration = Configuration()
    for file in files {
      guard let (values, errors) = try read(file, fileSystem) else { continue }
      if let first = errors.first { throw first }
      configuration.add(values)
    }
    return configuration
  }

  /// Returns all errors of all files.
  public func check(_ fileSystem: any FileSystem) -> [ConfigurationError] {
    files.flatMap { file -> [ConfigurationError] in
      do throws(ConfigurationError) {
        return try read(file, fileSystem)?.errors ?? []
      } catch { return [error] }
    }
  }

  private func read(
    _ file: File, _ fileSystem: any FileSystem
  ) throws(ConfigurationError) -> (configuration: Configuration, errors: [ConfigurationError])? {
    guard let bytes = try bytes(of: file, fileSystem) else { return nil }
    return ConfigurationReader.read(bytes, path: printable(file.path.utf8))
  }

  private func bytes(
    of file: File, _ fileSystem: any FileSystem
  ) throws(ConfigurationError) -> [UInt8]? {
    let path = Array(file.path.utf8)
    let name = printable(path)
    do {
      let open = try fileSystem.openFile(
        at: fileSystem.workingDirectory, path, [.read, .nonBlocking])
      let stat = try fileSystem.stat(open.raw)
      guard stat.kind == .file else { throw SystemError(code: .invalid, "read", path) }
      let inDirectory = try directoryDistrust(path, fileSystem)
      if let reason = Self.distrust(stat) ?? inDirectory {
        throw ConfigurationError(
          name, reason,
          hint:
            "Run 'chown root' and 'chmod go-w' on the file and its directory, after a look at its content"
        )
      }
      guard stat.size <= UInt64(Self.maxBytes) else {
        throw SystemError(code: .tooLarge, "read", path)
      }
      var bytes = [UInt8](repeating: 0, count: Self.maxBytes)
      let count = try bytes.withUnsafeMutableBytes { (buffer) throws(SystemError) in
        try fileSystem.readFully(open.raw, at: 0, into: buffer)
      }
      return Array(bytes[..<count])
    } catch let error as ConfigurationError {
      throw error
    } catch {
      guard let error = error as? SystemError else {
        throw ConfigurationError(name, "cannot be read: \(error)")
      }
      if error.isAbsent, !file.isRequired { return nil }
      throw ConfigurationError(name, "cannot be read: \(error.code)", hint: error.hint)
    }
  }

  /// Returns the reason why others could have changed a file; nil if they could not.
  private static func distrust(_ stat: FileStat) -> String? {
    if !isTrustedOwner(stat.uid) {
      return "belongs to another user (uid \(stat.uid)), who could have manipulated it"
    }
    return stat.isWritableByOthers
      ? "can be written by others (mode \(String(stat.mode & 0o7777, radix: 8)))" : nil
  }

  /// Returns the reason why others could have replaced a file in its directory; nil if they could not. In a
  /// directory such as /tmp only the owner of a file can replace it.
  private func directoryDistrust(
    _ path: [UInt8], _ fileSystem: any FileSystem
  ) throws(SystemError) -> String? {
    let end = path.lastIndex(of: 0x2f) ?? 0
    let parent = end == 0 ? (path.first == 0x2f ? [0x2f] : [0x2e]) : Array(path[..<end])
    let directory = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, parent, followLink: true)
    let stat = try fileSystem.stat(directory.raw)
    if stat.mode & 0o1000 != 0 { return nil }
    return Self.distrust(stat).map { "lies in a directory that \($0)" }
  }
}
