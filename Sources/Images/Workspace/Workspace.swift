// The context of all commands: the store, the management node's root, xCAT's tables, and a receiver of
// messages. Each command is an extension of `Workspace` in its own file.

import Apply
import Codec
import Glibc
import Ingest
import Platform
import Recipes
import Store
import XCAT

/// An open workspace. It opens the store once, at the first use.
public final class Workspace: Sendable {
  /// The version of imgstore.
  public static let version = "0.2.0"

  let fileSystem: any FileSystem
  /// How long to wait for locks: one time for all waits of the command.
  let lockWait: LockWait
  /// The options.
  public let options: WorkspaceOptions
  /// The progress of the running command.
  public let progress: Progress
  /// The resolver of paths below the root.
  let resolver: PathResolver
  /// The absolute path of the root, on this machine.
  let rootPath: [UInt8]
  /// Receives the warnings of a running command, one line each.
  let warn: @Sendable (String) -> Void
  /// Receives other messages of a running command, one line each, unless it is quiet. It is a closure and not
  /// a method, because a store that holds its workspace would never release its lease.
  let inform: @Sendable (String) -> Void
  private let opened = Monitor<ObjectStore?>(nil)
  /// The short image names, and other facts, that a message has explained already.
  let explainedNames = Monitor<Set<String>>([])

  /// Opens the root of a workspace. The store is opened later.
  /// - Parameters:
  ///   - fileSystem: the file system calls; tests inject their own.
  ///   - warn: receives warnings, one line each.
  ///   - inform: receives other messages, one line each; nil for `warn`.
  /// - Throws: `ImageError` if the root cannot be opened as a directory.
  public init(
    _ options: WorkspaceOptions, fileSystem: any FileSystem = KernelFileSystem.shared,
    progress: Progress = Progress(), warn: @escaping @Sendable (String) -> Void,
    inform: (@Sendable (String) -> Void)? = nil
  ) throws {
    self.fileSystem = fileSystem
    self.options = options
    lockWait = options.lockWait.shared
    self.progress = progress
    self.warn = warn
    let isQuiet = options.isQuiet
    let receiver = inform ?? warn
    self.inform = { line in if !isQuiet { receiver(line) } }
    rootPath = Array(absolute(options.root).utf8)
    do {
      let root = try fileSystem.openDirectory(
        at: fileSystem.workingDirectory, rootPath, followLink: true)
      resolver = PathResolver(fileSystem, root: root)
    } catch {
      throw ImageError(
        error.errorCode, "root \(options.root)", error.reason,
        hint: "Name an existing directory with --root", form: .clause)
    }
  }

  /// Returns the store, and opens it at the first call.
  /// - Parameters:
  ///   - create: creates the store if nothing exists at its path.
  ///   - odd: what to do if another kind of entry has the name of one of the store's directories.
  ///   - isAnnounced: reports the creation of a store, and refuses it where an existing store is probably
  ///     just not mounted.
  /// - Throws: `StoreError` (`notFound`) if the store does not exist; `ImageError` (`storeNotFound`) if it
  ///   may not be created.
  public func store(
    create: Bool = false, odd: OddLayoutPolicy = .refuse, isAnnounced: Bool = true
  ) throws -> ObjectStore {
    if let store = opened.withLock({ $0 }) { return store }
    let isAbsent = create && isAnnounced && isStoreAbsent
    if isAbsent { try requireStoreMayBeMade() }
    let isNew = isAbsent && options.announcesNewStore
    let store = try openStore(create: create, odd: odd)
    opened.withLock { $0 = store }
    // A quiet command reports it too: the path may be the mount point of a disk that is not mounted.
    if isNew { (options.isQuiet ? warn : inform)("made a new store in \(printable(storePath))") }
    return store
  }

  private func openStore(create: Bool, odd: OddLayoutPolicy) throws -> ObjectStore {
    let report = inform
    do throws(StoreError) {
      return try ObjectStore(
        fileSystem, path: storePath, create: create, odd: odd, owner: options.storeOwner,
        reconstructor: PlanReconstructor(), report: report)
    } catch {
      if error.kind == .notFound { try requireStoreMayBeMade() }
      throw error
    }
  }

  /// Returns the store for a reader; nil if it does not exist.
  func storeIfPresent() throws -> ObjectStore? {
    do {
      return try store()
    } catch let error as StoreError where error.kind == .notFound {
      return nil
    }
  }

  /// The path of the store if it does not exist; nil if it does.
  public var absentStore: String? { isStoreAbsent ? printable(storePath) : nil }

  /// The absolute path of the store's directory, which may be absent.
  var storePath: [UInt8] { Array(absolute(options.store).utf8) }

  private var isStoreAbsent: Bool {
    let format = storePath + Array("/format".utf8)
    do {
      return try fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, format, followLink: true) == nil
    } catch { return false }
  }

  /// Returns xCAT's install directory, as the site table sets it (`/install` by default).
  func installDirectory(_ tables: any TableBackend) throws -> AbsolutePath {
    let text = try tables.site("installdir") ?? "/install"
    guard let path = AbsolutePath(text), !path.components.isEmpty else {
      throw ImageError("site.installdir", "is '\(text)', not an absolute path")
    }
    return path
  }

  // MARK: For command lines

  /// Returns whether the tables define an image of that name.
  public func isDefined(_ name: String) throws -> Bool { try tables().definition(of: name) != nil }

  /// Returns xCAT's directory for temporary files (site.tmpdir), as a path of this machine; nil if it is
  /// unset or does not exist.
  public func temporaryDirectory() throws -> String? {
    guard let text = try tables().site("tmpdir"), let path = AbsolutePath(text) else { return nil }
    let real = absolute(options.root + path.text)
    let stat = try fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, Array(real.utf8), followLink: true)
    return stat?.kind == .directory ? real : nil
  }

  /// Returns a path of the command line as a path of the management node. An absolute path is returned
  /// without "." and "..". A relative path is below the working directory, which must lie below the root.
  /// - Throws: `ImageError` for a relative path outside the root.
  public func managementPath(_ path: String) throws -> String {
    let fullPath = absolute(path)
    let root = absolute(options.root)
    if path.hasPrefix("/") || root == "/" { return fullPath }
    if fullPath == root { return "/" }
    guard fullPath.hasPrefix(root + "/") else {
      throw ImageError(
        path, "is \(fullPath), which is not below the root \(root)",
        hint: "Give its absolute path on the management node")
    }
    return String(fullPath.dropFirst(root.count))
  }

  // MARK: Locks and provenance

  /// Takes the lock that a command needs to change an image or its history.
  /// - Parameters:
  ///   - allowsUnfinished: whether the command accepts an unfinished change of the image.
  ///   - isDryRun: whether the command changes nothing. It needs no lock then if the store is read-only.
  ///   - usesTree: whether the command goes on to lock the image's directories, and so needs xCAT's lock.
  /// - Returns: nil if no lock is needed.
  /// - Throws: `StoreError` (`busy`) if another process holds the lock for too long; `ImageError`
  ///   (`changeUnfinished`) for an unfinished change.
  func lock(
    _ image: ImageName, _ store: ObjectStore, allowsUnfinished: Bool = false,
    isDryRun: Bool = false, usesTree: Bool = false
  ) throws -> FileLock? {
    Interruption.ignoreClosedPipes()
    let lock =
      isDryRun && store.layout.isReadOnly
      ? nil
      : usesTree && !isDryRun ? try lockWithTree(image, store) : try lockImage(image, store)
    if !allowsUnfinished { try requireNothingUnfinished(image) }
    return lock
  }

  /// Takes the lock of an image, and waits for it as long as the options allow.
  /// - Throws: `StoreError` (`busy`) if another process still holds it after that time.
  func lockImage(_ image: ImageName, _ store: ObjectStore) throws -> FileLock {
    try store.lockImage(image, waiting: lockWait) { holders in
      let users = holders.isEmpty ? "another imgstore" : holders.joined(separator: ", ")
      inform("waiting: image \(image) is in use by \(users)")
    }
  }

  /// Returns the name of an image's stat cache, which depends on the root, too.
  func cacheKey(_ image: ImageName) -> Digest {
    SHA256.digest(of: rootPath + [0] + image.bytes)
  }

  /// Returns the facts that a new snapshot records about its origin: host, user, command, tool.
  /// - Parameter before: the snapshot of the state before the command's change; nil if there is none.
  func provenance(_ command: String, before: Digest? = nil) -> [Snapshot.Fact] {
    var host = [CChar](repeating: 0, count: 256)
    gethostname(&host, host.count - 1)
    let name = String(
      decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return [
      .init("host", name), .init("user", CallerIdentity.text(fileSystem)),
      .init("command", command),
      .init("tool", "imgstore \(Workspace.version)"),
    ] + (before.map { [.init(Snapshot.beforeKey, $0.hex)] } ?? [])
  }
}

/// Returns a path of the command line as an absolute path. "." and ".." are removed lexically; links are not
/// looked up.
func absolute(_ path: String) -> String {
  var fullPath = path
  if !path.hasPrefix("/"), let raw = getcwd(nil, 0) {
    fullPath = "\(String(cString: raw))/\(path)"
    free(raw)
  }
  var parts: [Substring] = []
  for part in fullPath.split(separator: "/") where part != "." {
    if part == ".." { parts = parts.dropLast() } else { parts.append(part) }
  }
  return "/" + parts.joined(separator: "/")
}
