// imgstore hooks: switches on the hooks that take snapshots around operations of xCAT, dnf and apt.

import Platform
import Store
import XCAT

/// The state of a hook.
public struct HookState: Sendable {
  public let kind: HookKind
  public let isEnabled: Bool
  /// The policy of the enabled hook; nil if it is off.
  public let policy: HookPolicy?
  /// The hook's files that exist.
  public let files: [String]
}

extension Workspace {
  /// Returns the states of all hooks of this management node.
  public func hooks() throws -> [HookState] { try HookSwitch(context).states() }

  /// Writes the files of hooks.
  /// - Parameter program: the absolute path of imgstore.
  /// - Throws: `ImageError`: `notFound` if the program that the hook is for is not installed, `alreadyExists` if
  ///   another file has the name, `usage` for a path of imgstore that hooks cannot name; `SystemError`.
  public func enableHooks(_ kinds: [HookKind], program: String, policy: HookPolicy) throws {
    try HookSwitch(context).enable(kinds, program: program, policy: policy)
  }

  /// Removes the files of hooks.
  /// - Throws: `ImageError` (`alreadyExists`) for a file that `enable` did not write; `SystemError`.
  public func disableHooks(_ kinds: [HookKind]) throws { try HookSwitch(context).disable(kinds) }
}

/// Writes and removes the files of hooks.
struct HookSwitch: Collaborator {
  let context: Context

  func states() throws -> [HookState] {
    try HookKind.allCases.map { kind in
      let files = try paths(kind).filter { try isOurs($0, kind) }
      let text = try files.first.flatMap { try read($0) } ?? ""
      return HookState(
        kind: kind, isEnabled: !files.isEmpty,
        policy: files.isEmpty
          ? nil
          : HookPolicy.allCases.first {
            text.contains("--policy \($0.rawValue) ")
              || text.contains("POLICY = \"\($0.rawValue)\"")
          },
        files: files.map(\.text))
    }
  }

  func enable(_ kinds: [HookKind], program: String, policy: HookPolicy) throws {
    // The characters that shells, Python, apt and dnf all take unchanged.
    guard program.hasPrefix("/"), shellQuoted(program) == program else {
      throw ImageError(
        .usage, "program \(program)", "has a path that hooks cannot name",
        hint: "Install imgstore in a directory such as /usr/bin")
    }
    let files = try kinds.flatMap { try self.files($0, program: program, policy: policy) }
    for (kind, file) in files { try requireReplaceable(file.path, kind) }
    for (_, file) in files { try write(file) }
  }

  func disable(_ kinds: [HookKind]) throws {
    let files = try kinds.flatMap { kind in try paths(kind).map { (kind, $0) } }
    for (kind, path) in files { try requireReplaceable(path, kind) }
    for (_, path) in files { try remove(path) }
    // The last wrapper takes the line of PATH with it.
    let wrappers = HookKind.allCases.filter { $0.isWrapper && !kinds.contains($0) }
    if let profile = HookFile.profile(),
      try !wrappers.contains(where: { try paths($0).contains { try read($0) != nil } }),
      try isOurs(profile.path, .genimage)
    {
      try remove(profile.path)
    }
  }

  // MARK: The files of a hook

  private func files(
    _ kind: HookKind, program: String, policy: HookPolicy
  ) throws -> [(HookKind, HookFile)] {
    let files: [HookFile?]
    switch kind {
    case .genimage, .packimage:
      files = [HookFile.wrapper(kind, program: program, policy: policy), HookFile.profile()]
    case .dnf:
      files =
        try pluginDirectories().map {
          HookFile.dnfPlugin(in: $0.text, program: program, policy: policy)
        }
        + (try isDirectory("/etc/dnf/libdnf5-plugins")
          ? [HookFile.dnfActions(program: program, policy: policy)] : [])
      if files.isEmpty { throw missing("dnf", "/usr/lib/python3*/*/dnf") }
    case .apt:
      guard try isDirectory("/etc/apt/apt.conf.d") else {
        throw missing("apt", "/etc/apt/apt.conf.d")
      }
      files = [HookFile.apt(program: program, policy: policy)]
    }
    return files.compactMap(\.self).map { (kind, $0) }
  }

  private func missing(_ name: String, _ path: String) -> ImageError {
    ImageError(
      .notFound, "\(name) of this machine", "was not found (\(path))",
      hint: "Install \(name), and enable the hook again")
  }

  /// Returns the paths of a hook's own files, which may be absent.
  private func paths(_ kind: HookKind) throws -> [AbsolutePath] {
    switch kind {
    case .genimage, .packimage:
      [AbsolutePath("\(HookFile.wrapperDirectory)/\(kind.rawValue)")].compactMap(\.self)
    case .apt: [AbsolutePath("/etc/apt/apt.conf.d/90imgstore")].compactMap(\.self)
    case .dnf:
      try pluginDirectories().map { $0.appending("imgstore.py") }
        + [AbsolutePath("/etc/dnf/libdnf5-plugins/actions.d/imgstore.actions")].compactMap(\.self)
    }
  }

  /// Returns the directories of plugins of the installed versions of dnf 4.
  private func pluginDirectories() throws -> [AbsolutePath] {
    guard let lib = AbsolutePath("/usr/lib") else { return [] }
    return try names(in: lib).filter { $0.starts(with: Array("python3".utf8)) }
      .sorted(by: precedes).flatMap { name in
        ["site-packages", "dist-packages"].map { lib.appending(name).appending($0) }
      }.filter { try isDirectory($0.appending("dnf").text) }.map { $0.appending("dnf-plugins") }
  }

  // MARK: Files below the root

  private func names(in path: AbsolutePath) throws -> [[UInt8]] {
    guard let location = try? context.resolver.resolve(path),
      let directory = try? context.fileSystem.openDirectory(
        at: location.directory.raw, location.name)
    else { return [] }
    return try context.fileSystem.names(of: directory.raw)
  }

  private func isDirectory(_ text: String) throws -> Bool {
    guard let path = AbsolutePath(text), let location = try? context.resolver.resolve(path) else {
      return false
    }
    return try context.fileSystem.statIfPresent(at: location.directory.raw, location.name)?.kind
      == .directory
  }

  private func read(_ path: AbsolutePath) throws -> String? {
    do throws(SystemError) {
      let location = try context.resolver.resolve(path, followLast: false)
      let bytes = try context.fileSystem.readSmallFile(
        at: location.directory.raw, location.name, limitBytes: 64 << 10)
      return String(decoding: bytes, as: UTF8.self)
    } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }

  private func isOurs(_ path: AbsolutePath, _ kind: HookKind) throws -> Bool {
    try read(path)?.contains(HookFile.mark(kind.rawValue)) ?? false
  }

  private func requireReplaceable(_ path: AbsolutePath, _ kind: HookKind) throws {
    guard let text = try read(path),
      !HookKind.allCases.contains(where: { text.contains(HookFile.mark($0.rawValue)) })
    else { return }
    throw ImageError(
      .alreadyExists, "file \(path.text)", "exists, and imgstore did not write it",
      hint: "Move it away, and run the command again")
  }

  private func write(_ file: HookFile) throws {
    let files = context.fileSystem
    let location = try context.resolver.resolve(file.path, followLast: false, create: .readable)
    try files.replaceFile(
      at: location.directory.raw, location.name, with: Array(file.text.utf8))
    try files.setMode(at: location.directory.raw, location.name, file.mode)
    try files.sync(location.directory.raw)
  }

  private func remove(_ path: AbsolutePath) throws {
    do throws(SystemError) {
      let location = try context.resolver.resolve(path, followLast: false)
      try context.fileSystem.remove(
        at: location.directory.raw, location.name, isDirectory: false)
    } catch {
      guard error.isAbsent else { throw error }
    }
  }
}
