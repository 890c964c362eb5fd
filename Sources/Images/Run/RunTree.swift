// The root tree that a command runs in: where it is, which shell it has, and the errors of a command that did not
// start in it.

import Platform
import Store

/// The root tree of an image, opened for a command.
struct RunTree {
  /// The path on this machine without links.
  let realPath: [UInt8]
  let identity: FileIdentity
  private let context: Context
  private let path: AbsolutePath
  private let tree: Descriptor

  /// Opens a tree.
  /// - Parameter path: the path of the tree on the management node, links followed; nil if the image has none.
  /// - Throws: `ImageError`: `filesMissing` if the image has no root tree, `unsupported` for the root of this machine.
  init(_ context: Context, _ image: ImageName, _ path: AbsolutePath?) throws {
    guard let path, try ImageCapturer(context).statLive(path)?.kind == .directory else {
      throw ImageError(
        .filesMissing, "image \(image)", "has no root tree",
        hint: "'imgstore run \(image) --host -- COMMAND' runs a command of the management node")
    }
    let files = context.fileSystem
    let location = try context.resolver.resolve(path, followLast: false)
    tree = try files.openDirectory(at: location.directory.raw, location.name)
    identity = FileIdentity(try files.stat(tree.raw))
    realPath = try files.readLink(
      at: files.workingDirectory, Array("/proc/self/fd/\(tree.raw)".utf8))
    (self.context, self.path) = (context, path)
    guard realPath.count > 1 else {
      throw ImageError(
        .unsupported, "image \(image)", "is the root of this machine",
        hint: "'imgstore run \(image) --host -- COMMAND' runs a command in it")
    }
  }

  /// Returns the shell of the tree: the caller's, if the tree has it, else /bin/sh.
  func shell() throws -> [UInt8] {
    let fallback = Array("/bin/sh".utf8)
    guard let text = context.options.environment["SHELL"], let path = AbsolutePath(text),
      let located = try? PathResolver(context.fileSystem, root: tree).locate(
        path, followLast: true),
      let stat = try? context.fileSystem.statIfPresent(
        at: located.location.directory.raw, located.location.name),
      stat.kind == .file, stat.mode & 0o111 != 0
    else { return fallback }
    return path.bytes
  }

  /// Plans the mounts of a command.
  /// - Throws: see `TreeMounts.plan`.
  func mounts(binds: [BindArgument], hasNetwork: Bool) throws -> TreeMounts {
    var mounts = TreeMounts(context.fileSystem, tree: tree, name: path.text)
    try mounts.plan(binds: binds, resolverConfiguration: hasNetwork ? resolverConfiguration : nil)
    return mounts
  }

  /// The resolver's configuration of this machine; nil if it has none.
  private var resolverConfiguration: [UInt8]? {
    try? context.fileSystem.readSmallFile(
      at: context.fileSystem.workingDirectory, Array("/etc/resolv.conf".utf8),
      limitBytes: 64 << 10)
  }
}

extension UserCommand {
  /// Runs the command without a progress line.
  /// - Parameter willBegin: receives the number of the command's process before the program starts.
  /// - Throws: `CommandNotExecuted`, `ImageError`.
  func run(
    _ context: Context, _ location: RunRequest.Location, willBegin: (Int) -> Void = { _ in }
  ) throws -> CommandEnd {
    context.progress.begin("")
    do throws(CommandFailure) {
      let end = try run(willBegin: willBegin)
      if end.leftovers > 0 {
        context.reporter.inform(
          "ended \(end.leftovers) \(end.leftovers == 1 ? "process" : "processes") that the command "
            + "left running")
      }
      return end
    } catch {
      throw error.explained(arguments.first ?? [], location)
    }
  }
}

extension CommandFailure {
  /// Returns the failure as an error with a subject, a reason and a hint.
  func explained(_ program: [UInt8], _ location: RunRequest.Location) -> any ExplainedError {
    let subject = "program \(shellQuoted(printable(program)))"
    switch self {
    case .execution(let code):
      return CommandNotExecuted(program: program, code: code, location: location)
    case .namespaces(let code):
      return ImageError(
        SystemError(code: code, "", []).errorCode, subject,
        "cannot get namespaces of its own: \(code)",
        hint: "In a container, imgstore needs CAP_SYS_ADMIN ('--privileged')")
    case .tree(let code):
      return ImageError(
        .imageChanged, subject, "cannot enter the tree: \(code)",
        hint: "Check that nothing replaces the tree, and run the command again")
    case .step(let step, let code):
      return ImageError(
        .unsupported, subject,
        "cannot be started: cannot \(step.operation) /\(step.path.text): \(code)",
        hint: code == .loop
          ? "A symbolic link is on the way; mounts do not follow links"
          : "In a container, imgstore needs CAP_SYS_ADMIN ('--privileged')")
    case .process(let code):
      return ImageError(
        SystemError(code: code, "", []).errorCode, subject, "cannot be started: \(code)")
    case .lost:
      return ImageError(
        .failed, subject, "was killed together with its namespaces",
        hint: "Check the kernel's log for a lack of memory")
    }
  }
}
