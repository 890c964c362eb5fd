// imgstore config edit: changes a configuration file like visudo(8).
//
// 1. The editor gets a copy. The file is replaced in one step, and only by a copy without errors.
// 2. One editor works on a file at a time. A second one ends at once.
// 3. The file keeps its mode; a new one has mode 0644 less the umask, and a directory of its own 0755.

import Platform
import Settings

/// The result of an edit.
public enum ConfigurationEditResult: String, Sendable, CaseIterable {
  /// The file has the new text.
  case replaced
  /// The text is what it was.
  case unchanged
  /// The copy was given up, because it has errors.
  case abandoned
}

extension ConfigurationFiles {
  /// Loads all files of this machine.
  /// - Throws: `ConfigurationError` for the first error.
  public func load() throws -> Configuration { try load(KernelFileSystem.shared) }

  /// Returns all errors of all files of this machine.
  public func check() -> [ConfigurationError] { check(KernelFileSystem.shared) }

  /// Returns whether a file exists.
  public func exists(_ file: File) -> Bool {
    let fileSystem = KernelFileSystem.shared
    let stat = try? fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, Array(file.path.utf8), followLink: true)
    return stat ?? nil != nil
  }
}

/// Edits a configuration file.
public struct ConfigurationEditor {
  private let fileSystem: any FileSystem
  private let path: String
  private let environment: [String: String]

  /// The text of a new file.
  public static let template = """
    # The configuration of imgstore. 'man imgstore' explains each setting; 'imgstore config check' checks them.

    # store = "/srv/imgstore"

    # [maintain]
    # verify-time = "30m"
    # optimize-time = "30m"
    # metrics = "/var/lib/prometheus/node-exporter/imgstore.prom"

    # [image."*"]
    # schedule = "daily"
    # [image."*".retention]
    # keep-last = 3
    # keep-daily = 14
    # keep-monthly = 12

    """

  /// - Parameter path: the file, which may be absent.
  public init(
    _ path: String, environment: [String: String] = processEnvironment(),
    fileSystem: any FileSystem = KernelFileSystem.shared
  ) {
    (self.path, self.environment, self.fileSystem) = (path, environment, fileSystem)
  }

  /// Opens the editor, and replaces the file if the text has no errors.
  /// - Parameter retry: receives the errors, and returns whether to open the editor again.
  /// - Throws: `ImageError` (`busy`) while another one edits the file; `SystemError`; the error of an editor
  ///   that cannot be run.
  public func edit(
    retry: ([ConfigurationError]) -> Bool
  ) throws -> ConfigurationEditResult {
    let (directory, name) = try location()
    guard
      let lock = try FileLock.acquireIfFree(
        fileSystem, at: directory.raw, Array("config.lock".utf8), exclusive: true)
    else {
      throw ImageError(
        .busy, path, "is being edited by another process", hint: "Wait for it to end")
    }
    defer { withExtendedLifetime(lock) {} }
    let stat = try fileSystem.statIfPresent(at: directory.raw, name, followLink: true)
    let old = stat == nil ? nil : try fileSystem.readSmallFile(at: directory.raw, name)
    let before = old ?? Array(ConfigurationEditor.template.utf8)
    let copy = Array(".config-\(randomName()).toml".utf8)
    let file = try fileSystem.openFile(
      at: directory.raw, copy, [.write, .create, .exclusive, .noFollow], mode: 0o600)
    let cleanUp = Interruption.addCleanUp { [fileSystem] in
      try? fileSystem.remove(at: directory.raw, copy, isDirectory: false)
    }
    defer {
      Interruption.cancelCleanUp(cleanUp)
      try? fileSystem.remove(at: directory.raw, copy, isDirectory: false)
    }
    try fileSystem.write(file.raw, before)
    while true {
      try runEditor(parent + "/" + String(decoding: copy, as: UTF8.self))
      let after = try fileSystem.readSmallFile(at: directory.raw, copy)
      if after == old || old == nil && after == before { return .unchanged }
      let errors = ConfigurationReader.read(after, path: path).errors
      if errors.isEmpty {
        let output = try OutputFile(fileSystem, in: directory, named: name, mode: 0o644)
        if let stat { try fileSystem.setMode(output.file.raw, stat.mode & 0o7777) }
        try output.publish(after)
        return .replaced
      }
      guard retry(errors) else { return .abandoned }
    }
  }

  private var parent: String { absolute(path + "/..") }

  private func location() throws -> (directory: Descriptor, name: [UInt8]) {
    let full = absolute(path)
    guard let file = AbsolutePath(full), !file.isRoot else {
      throw ImageError(.usage, path, "is not the path of a file")
    }
    do throws(SystemError) {
      try fileSystem.makeDirectory(
        at: fileSystem.workingDirectory, Array(parent.utf8), mode: 0o755)
    } catch { if error.code != .exists { throw error } }
    let directory = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, Array(parent.utf8), followLink: true)
    return (
      directory,
      Array(
        full.utf8.suffix(
          from: full.utf8.index(after: full.utf8.lastIndex(of: 0x2f) ?? full.utf8.startIndex)))
    )
  }

  /// Runs VISUAL or EDITOR, whose words are separated by blanks, or vi.
  private func runEditor(_ copy: String) throws {
    let named = ["VISUAL", "EDITOR"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
    let words = (named ?? "vi").split(separator: " ").map(String.init)
    let status = try ChildProcess.runInheriting(words + [copy], environment: environment)
    guard status == 0 else {
      throw ImageError(
        "the editor", "ended with status \(status)", hint: "\(path) was not changed")
    }
  }
}
