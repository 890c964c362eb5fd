// Plans the mounts of a command that runs in a root tree (MountPlan.swift).
//
// 1. Nothing is created in the tree. A mount point that the tree lacks is left out, with a remark.
// 2. A mount point that is a symbolic link is refused: it could lead anywhere.
// 3. `run`, `tmp` and `dev` are empty for the command, and what it writes there ends with it. So no temporary file
//    of a package manager reaches a snapshot.
// 4. The resolver's configuration is a copy. A tree whose resolv.conf is a link into /run, as systemd-resolved has
//    it, gets the copy there; otherwise it covers the tree's file.

import Glibc
import Platform

/// The plan of the mounts of one command.
struct TreeMounts {
  private(set) var steps: [MountStep] = []
  /// What the command will miss, one sentence each.
  private(set) var remarks: [String] = []

  private let files: any FileSystem
  private let tree: Descriptor
  private let name: String
  private var resolver: PathResolver { PathResolver(files, root: tree) }
  /// The directories of the tree that the plan covers.
  private var mounted: Set<RelativePath> = []
  /// The directories that the plan creates.
  private var created: Set<RelativePath> = []

  /// - Parameters:
  ///   - tree: the open root of the tree.
  ///   - name: its path, for messages.
  init(_ files: any FileSystem, tree: Descriptor, name: String) {
    (self.files, self.tree, self.name) = (files, tree, name)
  }

  /// Plans all mounts.
  /// - Parameter resolverConfiguration: the content of resolv.conf; nil to leave that of the tree.
  /// - Throws: `ImageError`: `unsupported` for a mount point that is a link or no directory; `usage` for a bind
  ///   that is not possible, `pathNotFound` for one that names nothing.
  mutating func plan(binds: [BindArgument], resolverConfiguration: [UInt8]?) throws {
    let safe: MountFlags = [.noSetuid, .noDevices, .noExecution]
    if try add(type: "proc", at: "proc", safe) {
      steps += TreeMounts.protectedOfProc.map { .readOnly($0) }
    }
    _ = try add(type: "sysfs", at: "sys", safe.union(.readOnly))
    if try add(type: "tmpfs", at: "dev", [.noSetuid, .noExecution], "mode=0755,size=16m") {
      steps += TreeMounts.devices
    }
    let temporary: MountFlags = [.noSetuid, .noDevices]
    if try add(type: "tmpfs", at: "run", temporary, "mode=0755") {
      createDirectory("run/lock", mode: 0o1777)
    }
    _ = try add(type: "tmpfs", at: "tmp", temporary, "mode=1777")
    if let resolverConfiguration { try addResolver(resolverConfiguration) }
    for bind in binds { try add(bind) }
  }

  /// The parts of /proc with which a command could change the running system.
  private static let protectedOfProc: [RelativePath] = [
    "proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus",
  ]

  private static let devices: [MountStep] =
    [
      ("dev/null" as RelativePath, 1 as UInt32, 3 as UInt32), ("dev/zero", 1, 5),
      ("dev/full", 1, 7), ("dev/random", 1, 8), ("dev/urandom", 1, 9), ("dev/tty", 5, 0),
    ].map { .device($0.0, major: $0.1, minor: $0.2, mode: 0o666) }
    + [
      .directory("dev/pts", mode: 0o755),
      .mount(
        type: "devpts", at: "dev/pts", flags: [.noSetuid, .noExecution],
        options: "newinstance,ptmxmode=0666,mode=0620,gid=5"),
      .directory("dev/shm", mode: 0o1777),
      .mount(
        type: "tmpfs", at: "dev/shm", flags: [.noSetuid, .noDevices], options: "mode=1777"),
      .link("dev/ptmx", target: "pts/ptmx"), .link("dev/fd", target: "/proc/self/fd"),
      .link("dev/stdin", target: "/proc/self/fd/0"),
      .link("dev/stdout", target: "/proc/self/fd/1"),
      .link("dev/stderr", target: "/proc/self/fd/2"),
    ]

  /// Mounts a file system on a directory at the top of the tree.
  /// - Returns: whether the tree has the directory.
  private mutating func add(
    type: String, at path: RelativePath, _ flags: MountFlags, _ options: String = ""
  ) throws -> Bool {
    guard let stat = try files.statIfPresent(at: tree.raw, path.bytes) else {
      remarks.append("\(name) has no directory \(path.text): the command runs without it")
      return false
    }
    guard stat.kind == .directory else {
      throw ImageError(
        .unsupported, "\(name)/\(path.text)",
        stat.kind == .symlink
          ? "is a symbolic link; mounts do not follow links" : "is not a directory",
        hint: "Replace it with a directory, and run the command again")
    }
    steps.append(.mount(type: type, at: path, flags: flags, options: options))
    mounted.insert(path)
    return true
  }

  /// Creates a directory and those above it on a tmpfs of the plan.
  private mutating func createDirectory(_ path: RelativePath, mode: UInt16 = 0o755) {
    for directory in path.prefixes + [path]
    where !directory.isTop && !mounted.contains(directory) && created.insert(directory).inserted {
      steps.append(.directory(directory, mode: directory == path ? mode : 0o755))
    }
  }

  /// Returns whether a path lies on a tmpfs of the plan.
  private func isTemporary(_ path: RelativePath) -> Bool {
    mounted.contains { ["run", "tmp"].contains($0) && path != $0 && path.isInside($0) }
  }

  // MARK: resolv.conf

  private mutating func addResolver(_ content: [UInt8]) throws {
    let path: RelativePath = "etc/resolv.conf"
    let consequence = "the command may not resolve names"
    guard let target = try resolverTarget() else {
      remarks.append(
        "\(name) has no \(path.text), and nothing is created in the tree: \(consequence). "
          + "'touch \(name)/\(path.text)' once, and every later run covers that file with a copy of this "
          + "machine's")
      return
    }
    if isTemporary(target) {
      createDirectory(target.parent)
      steps.append(.file(target, content: content, mode: 0o644))
      return
    }
    guard let kept = ["run", "tmp"].first(where: mounted.contains) as RelativePath? else {
      remarks.append("\(name) has neither run nor tmp: \(consequence)")
      return
    }
    let copy = kept.appending(Array("imgstore-resolv.conf".utf8))
    steps += [.file(copy, content: content, mode: 0o644), .cover(copy, at: target)]
  }

  /// Returns the file that etc/resolv.conf means; nil if it does not exist.
  private func resolverTarget() throws -> RelativePath? {
    let conf = AbsolutePath(components: [Array("etc".utf8), Array("resolv.conf".utf8)])
    do throws(SystemError) {
      let located = try resolver.locate(conf)
      let (directory, last) = (located.location.directory, located.location.name)
      guard let stat = try files.statIfPresent(at: directory.raw, last) else { return nil }
      let path = RelativePath(components: located.path.components)
      if stat.kind == .file { return path }
      guard stat.kind == .symlink else { return nil }
      let target = try files.readLink(at: directory.raw, last)
      let lexical = lexicalPath(target, from: path.parent)
      if let lexical, isTemporary(lexical) { return lexical }
      let end = try resolver.locate(conf, followLast: true)
      let file = try files.statIfPresent(at: end.location.directory.raw, end.location.name)
      return file?.kind == .file ? RelativePath(components: end.path.components) : nil
    } catch {
      if error.isAbsent || error.code == .loop { return nil }
      throw error
    }
  }

  /// Returns the path that a link's target names, without looking at the file system; nil for the top.
  private func lexicalPath(_ target: [UInt8], from directory: RelativePath) -> RelativePath? {
    var parts = target.first == 0x2f ? [] : directory.components
    for part in writtenComponents(target) {
      if part == [0x2e, 0x2e] { parts = parts.dropLast() } else { parts.append(part) }
    }
    return parts.isEmpty ? nil : RelativePath(names: parts)
  }

  // MARK: Binds

  private mutating func add(_ bind: BindArgument) throws {
    let source = try BindSource(files, bind)
    let target = try bindTarget(bind, source)
    if isTemporary(target) {
      if source.isDirectory {
        createDirectory(target)
      } else {
        createDirectory(target.parent)
        steps.append(.file(target, content: [], mode: 0o600))
      }
    }
    steps.append(
      .bind(
        source: source.path, identity: source.identity, at: target,
        flags: bind.isReadOnly ? .readOnly : .recursive))
  }

  /// Returns the entry to bind on: in the tree without links, or on a tmpfs of the plan.
  private func bindTarget(_ bind: BindArgument, _ source: BindSource) throws -> RelativePath {
    let subject = "bind target \(bind.target.text)"
    guard let direct = RelativePath(names: bind.target.components), !direct.isTop else {
      throw ImageError(.usage, subject, "is not a path below the root")
    }
    if isTemporary(direct) { return direct }
    do throws(SystemError) {
      let located = try resolver.locate(bind.target, followLast: true)
      let path = RelativePath(components: located.path.components)
      if isTemporary(path) { return path }
      let stat = try files.statIfPresent(
        at: located.location.directory.raw, located.location.name)
      if !path.isTop, !mounted.contains(where: path.isInside), let stat,
        (stat.kind == .directory) == source.isDirectory
      {
        return path
      }
    } catch {
      guard error.isAbsent || error.code == .loop else { throw error }
    }
    throw ImageError(
      .pathNotFound, subject,
      "is not a \(source.isDirectory ? "directory" : "file") of the tree, and nothing is created "
        + "in the tree",
      hint: "Bind it below /run, for example on /run/\(printable(direct.lastComponent))")
  }
}
