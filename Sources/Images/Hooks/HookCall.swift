// What an enabled hook does: snapshots of the image whose tree an operation of another program changes.
//
// 1. An operation on anything else than the tree of an image is none of the hook's business.
// 2. A hook inside `imgstore run` for the same image does nothing: the run takes both snapshots.
// 3. While xCAT's command holds its lock on the tree, its own hook takes the snapshots. The hooks of the package
//    managers that it starts do nothing.

import Platform
import Store
import XCAT

/// The side of an operation.
public enum HookPhase: String, Sendable, CaseIterable {
  case before, after
}

extension Workspace {
  /// Takes the snapshot of a hook.
  /// - Parameters:
  ///   - tree: the path of the changed tree on the management node.
  ///   - operation: the command line of the operation.
  /// - Returns: the snapshot; nil if none was needed.
  /// - Throws: as `snapshot`.
  @discardableResult
  public func takeHookSnapshot(
    _ phase: HookPhase, tree: String, operation: [[UInt8]]
  ) throws -> CommittedSnapshot? {
    try HookCall(context).takeSnapshot(phase, tree: tree, operation: operation)
  }

  /// Returns the tree that a process of apt changes by its command line; nil if it changes this machine.
  /// - Throws: `ImageError` (`unsupported`) if apt has started the hook inside the tree; `SystemError` if the
  ///   command line cannot be read.
  public func treeOfApt(process: Int) throws -> String? {
    try HookCall(context).treeOfApt(process: process)
  }

  /// Runs a program of xCAT between two snapshots of the image that its arguments name.
  /// - Returns: how the program ended.
  /// - Throws: `CommandNotExecuted`; with the policy `refuse` also the errors of the snapshots.
  public func runHooked(_ words: [[UInt8]], policy: HookPolicy) throws -> CommandEnd {
    try HookCall(context).run(words, policy)
  }
}

/// Takes the snapshots of hooks.
struct HookCall: Collaborator {
  let context: Context

  func takeSnapshot(
    _ phase: HookPhase, tree: String, operation: [[UInt8]]
  ) throws -> CommittedSnapshot? {
    guard let path = AbsolutePath(try LivePaths(context).managementPath(tree)), !path.isRoot,
      let image = try DirectoryImages(context).directoryOwner(path),
      context.options.environment[RunEnvironment.imageVariable] != image.text
    else { return nil }
    let store = try context.store(create: true)
    do {
      return try snapshot(of: image, store, phase, commandText(operation))
    } catch let error as ImageError where error.errorCode == .imageLocked {
      context.reporter.inform(
        "image \(image): a command of xCAT is at work, so this operation gets no snapshot of its own"
      )
      return nil
    }
  }

  private func snapshot(
    of image: ImageName, _ store: ObjectStore, _ phase: HookPhase, _ operation: String
  ) throws -> CommittedSnapshot? {
    let lock = try ImageLocks(context).lock(image, store, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let definition = try ImageCapturer(context).definition(of: image)
    let directories = try DirectoryLocker(context).lockDirectories(image, definition, for: .reads)
    defer { withExtendedLifetime(directories) {} }
    let latest = try store.refs.latestReadable(of: image)
    let label =
      switch phase {
      case .before: SnapshotLabel(.run, "before \(operation)")
      case .after:
        latest.map { SnapshotLabel(.run, operation).recording(before: $0.id) }
          ?? SnapshotLabel(.run, operation)
      }
    do {
      let outcome = try SnapshotTaker(context).commitLive(
        image, CaptureScope(definition, recipes: .existing),
        SnapshotRecord(label, skipIfUnchanged: true)
      ) { snapshot in
        // The operation may be the one that fills the tree.
        if latest == nil, phase == .before,
          !snapshot.components.contains(where: { $0.role.isOwned })
        {
          throw NoFilesYet()
        }
      }
      return outcome.isNew ? outcome.committed : nil
    } catch is NoFilesYet {
      return nil
    }
  }

  func treeOfApt(process: Int) throws -> String? {
    let bytes = try context.fileSystem.readSmallFile(
      at: context.fileSystem.workingDirectory, Array("/proc/\(process)/cmdline".utf8))
    let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    if AptCommandLine.startsHooksInTree(words) {
      if context.options.environment[RunEnvironment.imageVariable] != nil { return nil }
      throw ImageError(
        .unsupported, "apt with RootDir", "starts its hooks inside the tree",
        hint: "Start it by 'imgstore run IMAGE --host -- apt-get -o RootDir=TREE'")
    }
    return AptCommandLine.tree(words)
  }

  func run(_ words: [[UInt8]], _ policy: HookPolicy) throws -> CommandEnd {
    let outer = context.options.environment[RunEnvironment.imageVariable]
    let named: ImageName? = try attempt(policy, "before") {
      try imageNamed(by: words.dropFirst())
    }
    let image = named?.text == outer ? nil : named
    let operation = commandText(
      [words.first.map { Array($0.split(separator: 0x2f).last ?? []) } ?? []] + words.dropFirst())
    func take(_ phase: HookPhase) throws {
      guard let image else { return }
      _ = try attempt(policy, phase.rawValue) {
        try snapshot(of: image, context.store(create: true), phase, operation)
      }
    }
    try take(.before)
    let environment = try RunEnvironment(
      .host, image: image?.text ?? outer, additional: [], caller: context.options.environment)
    defer { if let image { HostRuns(context).end(image) } }
    let end = try UserCommand(
      tree: nil, programs: words.first.map { [$0] } ?? [], arguments: words,
      environment: environment.entries
    ).run(context, .host) { process in
      if let image { HostRuns(context).begin(image, command: operation, process: process) }
    }
    try take(.after)
    return end
  }

  /// Returns the result of `body`; nil if it failed and the policy is to warn.
  private func attempt<R>(
    _ policy: HookPolicy, _ phase: String, _ body: () throws -> R?
  ) throws -> R? {
    do {
      return try body()
    } catch let error as any ExplainedError where policy == .warn {
      context.reporter.warn("no snapshot \(phase) the operation: \(error.messageWithHint)")
      return nil
    }
  }

  /// Returns the image that the arguments of a program of xCAT name; nil if they name none.
  private func imageNamed(by words: some Sequence<[UInt8]>) throws -> ImageName? {
    let definitions = try context.tables().definitions()
    let names = words.map { String(decoding: $0, as: UTF8.self) }
    return try names.last { definitions[$0] != nil }.map { try ImageName($0) }
  }
}

/// apt's command line, as far as it names the tree that dpkg changes.
public enum AptCommandLine {
  /// What a hook prints that apt has started inside the tree.
  static let rootAdvice =
    "imgstore: no snapshot: with RootDir, apt starts its hooks inside the tree. Start it by: "
    + "imgstore run IMAGE --host -- apt-get -o RootDir=TREE"

  /// Returns the tree: the value of dpkg's --root, or of apt's Dir or RootDir; nil if none is set.
  public static func tree(_ words: [String]) -> String? {
    let settings = settings(words)
    let tree =
      value(of: "dpkg::options::=--root=", settings) ?? value(of: "rootdir=", settings)
      ?? value(of: "dir=", settings)
    return tree.flatMap { $0 == "/" || $0.isEmpty ? nil : $0 }
  }

  /// Returns whether apt changes its root directory to the tree before it starts dpkg or a hook (apt.conf(5),
  /// RootDir and DPkg::Chroot-Directory).
  public static func startsHooksInTree(_ words: [String]) -> Bool {
    let settings = settings(words)
    return ["rootdir=", "dpkg::chroot-directory="].contains { key in
      value(of: key, settings).map { !$0.isEmpty && $0 != "/" } ?? false
    }
  }

  private static func value(of key: String, _ settings: [String]) -> String? {
    settings.last { $0.lowercased().hasPrefix(key) }.map { String($0.dropFirst(key.count)) }
  }

  /// Returns the values of apt's option -o.
  private static func settings(_ words: [String]) -> [String] {
    var settings: [String] = []
    var rest = words.dropFirst()
    while let word = rest.popFirst() {
      if ["-o", "--option"].contains(word) {
        if let next = rest.popFirst() { settings.append(next) }
      } else if word.hasPrefix("--option=") {
        settings.append(String(word.dropFirst("--option=".count)))
      } else if word.hasPrefix("-o"), !word.hasPrefix("--") {
        settings.append(String(word.dropFirst(2)))
      }
    }
    return settings
  }
}
