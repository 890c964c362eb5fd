// The remotes that a store knows: those of the configuration files, and those that `remote add` wrote into the
// store's own file, config.toml. A remote of the store's file has precedence.
//
// 1. The store's file has remotes only, and no keys or passwords.
// 2. It is replaced as a whole, synced, so that a crash leaves the old one or the new one.

import Platform
import Settings
import Store
import Transfer

/// A remote with its address.
public struct Remote: Sendable, Equatable {
  public let settings: RemoteSettings
  public let url: RemoteURL
  /// Whether the store's own file has it, so that `remote remove` can remove it.
  public let isOwn: Bool

  public var name: String { settings.name }
}

/// Finds, adds and removes remotes.
struct RemoteRegistry: Collaborator {
  let context: Context

  /// Returns whether a remote can have the name.
  static func isName(_ name: String) -> Bool { RemoteSettings.isName(name) }

  /// Returns all remotes, by their names.
  /// - Throws: `ConfigurationError` for an unusable file; `TransferError` (`usage`) for an invalid address.
  func all() throws -> [Remote] {
    let own = try ownSettings()
    let others = context.options.configuration.remotes.filter { own[$0.key] == nil }
    return try (own.values.map { ($0, true) } + others.values.map { ($0, false) })
      .sorted { $0.0.name < $1.0.name }
      .map { Remote(settings: $0, url: try RemoteURL($0.url.value), isOwn: $1) }
  }

  /// Returns the remote of a name; nil if there is none.
  func find(_ name: String) throws -> Remote? { try all().first { $0.name == name } }

  /// Returns the remote of a name, or of an address that is not registered.
  /// - Throws: `ImageError` (`notFound`) with the nearest names.
  func remote(_ text: String) throws -> Remote {
    if let found = try find(text) { return found }
    if text.contains("/") {
      let path = text.contains("://") ? text : absolute(text)
      return Remote(
        settings: RemoteSettings(path, url: Setting(path, .builtIn)), url: try RemoteURL(path),
        isOwn: false)
    }
    let names = try all().map(\.name)
    let near = names.filter { Spelling.isNear(text, $0) }
    throw ImageError(
      .notFound, "remote '\(printable(text.utf8))'", "does not exist",
      hint: near.isEmpty
        ? (names.isEmpty
          ? "Add one with 'imgstore remote add NAME URL'"
          : "'imgstore remote list' lists the remotes")
        : "Did you mean \(near.joined(separator: " or "))?")
  }

  /// Adds a remote to the store's file.
  /// - Throws: `ImageError`: `alreadyExists`, `usage`.
  func add(_ settings: RemoteSettings) throws -> Remote {
    guard RemoteSettings.isName(settings.name) else {
      throw ImageError(
        .usage, "remote name '\(printable(settings.name.utf8))'", "is not valid",
        hint: "Use letters, digits, '-', '_' and '.', and start with a letter or digit")
    }
    let remote = Remote(settings: settings, url: try RemoteURL(settings.url.value), isOwn: true)
    try change { own in
      guard own[settings.name] == nil else {
        throw ImageError(
          .alreadyExists, "remote \(settings.name)", "exists already",
          hint: "'imgstore remote remove \(settings.name)' removes it")
      }
      own[settings.name] = settings
    }
    return remote
  }

  /// Removes a remote from the store's file. Its snapshots stay, there and here.
  /// - Throws: `ImageError`: `notFound`; `failed` for a remote of another configuration file.
  func remove(_ name: String) throws {
    let remote = try remote(name)
    guard remote.isOwn else {
      throw ImageError(
        "remote \(name)", "is defined in \(remote.settings.url.origin.text)",
        hint: "Remove the section [remote.\(name)] there")
    }
    try change { $0[name] = nil }
  }

  private func change(_ body: (inout [String: RemoteSettings]) throws -> Void) throws {
    let file = try context.store(create: true).configurationFile
    try file.change(waiting: context.lockWait) { bytes in
      var own = try RemoteRegistry.settings(bytes, path: file.path)
      try body(&own)
      return Array(RemoteRegistry.text(own).utf8)
    }
  }

  /// Returns the names of all remotes for completion: without locks, and without those of unusable files.
  func names(_ store: UnlockedStore?) -> [String] {
    var names = Set(context.options.configuration.remotes.keys)
    if let file = store?.configurationFile, let bytes = try? file.read(),
      let own = try? RemoteRegistry.settings(bytes, path: file.path)
    {
      names.formUnion(own.keys)
    }
    return names.sorted()
  }

  private static func text(_ remotes: [String: RemoteSettings]) -> String {
    var text = "# The remotes of this store, written by 'imgstore remote'. No keys or passwords.\n"
    for (name, settings) in remotes.sorted(by: { $0.key < $1.key }) {
      let prefix = "remote.\(name)."
      text += "\n[remote.\(TOMLText.string(name))]\n"
      for line in settings.listed {
        text += "\(line.key.dropFirst(prefix.count)) = \(line.value)\n"
      }
    }
    return text
  }

  private func ownSettings() throws -> [String: RemoteSettings] {
    guard let file = try context.storeIfPresent()?.configurationFile else { return [:] }
    return try RemoteRegistry.settings(try file.read(), path: file.path)
  }

  private static func settings(
    _ bytes: [UInt8]?, path: [UInt8]
  ) throws -> [String: RemoteSettings] {
    guard let bytes else { return [:] }
    let (remotes, errors) = ConfigurationReader.readRemotes(bytes, path: printable(path))
    if let error = errors.first { throw error }
    return remotes
  }
}
