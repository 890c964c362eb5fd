// Everything a verb needs: the store, the management node's root, xCAT's tables, and somebody to
// tell what happens. Each verb is an extension of `Workspace` in a file of its own.

import Apply
import Codec
import Glibc
import Ingest
import Platform
import Render
import Store
import XCAT

/// Where things are.
public struct WorkspaceOptions: Sendable {
  /// The store's folder.
  public var store: String
  /// Every absolute path of tables and manifests is taken below this folder.
  public var root: String
  /// xCAT's table files; nil to look where xCAT looks, then into the store (`Workspace.tables`).
  public var xcatDirectory: String?
  /// Whose store it may be.
  public var storeOwner: StoreOwnerPolicy
  /// Who makes a store is told of it.
  public var announcesNewStore = true
  /// Only warnings are told.
  public var isQuiet = false
  /// How long to wait for other processes that change an image or its folders.
  public var lockWait = LockWait.forever
  /// What XCATCFG, XCATROOT and PATH are taken from, and what xCAT's commands are given.
  public var environment: [String: String]

  public init(
    store: String, root: String = "/", xcatDirectory: String? = nil,
    storeOwner: StoreOwnerPolicy = .trusted, environment: [String: String] = processEnvironment()
  ) {
    self.store = store
    self.root = root
    self.xcatDirectory = xcatDirectory
    self.storeOwner = storeOwner
    self.environment = environment
  }
}

/// An open workspace.
public final class Workspace: Sendable {
  public static let version = "0.2.0"

  let fileSystem: any FileSystem
  public let options: WorkspaceOptions
  public let progress: Progress
  let resolver: PathResolver
  let rootPath: [UInt8]
  /// Told warnings while a verb runs, a line each.
  let tell: @Sendable (String) -> Void
  /// Told what goes on, which is no warning; nobody is, of a quiet command. A closure, not a method: a store that held its workspace would
  /// keep its lease for good.
  let mention: @Sendable (String) -> Void
  private let opened = Monitor<ObjectStore?>(nil)
  /// Short names of images that were explained already.
  let saidNames = Monitor<Set<String>>([])

  /// - Parameters:
  ///   - tell: told warnings, a line each.
  ///   - mention: told what goes on, a line each; nil for `tell`.
  /// - Throws: `ImageError` where the root is no directory.
  public init(
    _ options: WorkspaceOptions, fileSystem: any FileSystem = KernelFileSystem.shared,
    progress: Progress = Progress(), tell: @escaping @Sendable (String) -> Void,
    mention: (@Sendable (String) -> Void)? = nil
  ) throws {
    self.fileSystem = fileSystem
    self.options = options
    self.progress = progress
    self.tell = tell
    let isQuiet = options.isQuiet
    let heard = mention ?? tell
    self.mention = { line in if !isQuiet { heard(line) } }
    rootPath = Array(absolute(options.root).utf8)
    do {
      let root = try fileSystem.openDirectory(
        at: fileSystem.workingDirectory, rootPath, followLink: true)
      resolver = PathResolver(fileSystem, root: root)
    } catch {
      throw ImageError(
        error.errorCode, "root \(options.root)", "\(error.finding)",
        advice: "Name an existing folder with --root")
    }
  }

  /// The store.
  /// - Parameter create: whether it is made where nothing is.
  /// - Parameter odd: what is done where something else has the name of one of its folders.
  /// - Parameter isAnnounced: who makes a store is told so, and none is made where one is missing.
  public func store(
    create: Bool = false, odd: OddLayoutPolicy = .refuse, isAnnounced: Bool = true
  ) throws -> ObjectStore {
    if let store = opened.withLock({ $0 }) { return store }
    let isAbsent = create && isAnnounced && isStoreAbsent
    if isAbsent { try requireStoreMayBeMade() }
    let isNew = isAbsent && options.announcesNewStore
    let store = try openStore(create: create, odd: odd)
    opened.withLock { $0 = store }
    // A quiet command says it too: it may be the mount point of a disk that is away.
    if isNew { (options.isQuiet ? tell : mention)("made a new store in \(printable(storePath))") }
    return store
  }

  private func openStore(create: Bool, odd: OddLayoutPolicy) throws -> ObjectStore {
    let report = mention
    do throws(StoreError) {
      return try ObjectStore(
        fileSystem, path: storePath, create: create, odd: odd, owner: options.storeOwner,
        maker: DeflateReencoderPool.shared, report: report)
    } catch {
      if error.kind == .notFound { try requireStoreMayBeMade() }
      throw error
    }
  }

  /// The store, for who only reads; nil where there is none.
  func storeIfPresent() throws -> ObjectStore? {
    do {
      return try store()
    } catch let error as StoreError where error.kind == .notFound {
      return nil
    }
  }

  /// Where the store would be, if there is none.
  public var absentStore: String? { isStoreAbsent ? printable(storePath) : nil }

  /// The store's folder, whether it is there or not.
  var storePath: [UInt8] { Array(absolute(options.store).utf8) }

  private var isStoreAbsent: Bool {
    let format = storePath + Array("/format".utf8)
    do {
      return try fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, format, followLink: true) == nil
    } catch { return false }
  }

  func installDirectory(_ tables: any TableBackend) throws -> AbsolutePath {
    let text = try tables.site("installdir") ?? "/install"
    guard let path = AbsolutePath(text), !path.components.isEmpty else {
      throw ImageError("site.installdir", "is '\(text)', not an absolute path")
    }
    return path
  }

  // MARK: For command lines

  /// Whether xCAT's tables define an image of that name.
  public func isDefined(_ name: String) throws -> Bool { try tables().definition(of: name) != nil }

  /// xCAT's folder for temporary files (site.tmpdir), as it is reached from here; nil where none is
  /// set, or it is not there.
  public func temporaryDirectory() throws -> String? {
    guard let text = try tables().site("tmpdir"), let path = AbsolutePath(text) else { return nil }
    let real = absolute(options.root + path.text)
    let stat = try fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, Array(real.utf8), followLink: true)
    return stat?.kind == .directory ? real : nil
  }

  /// What a path of the command line is called on the management node: an absolute one is its name,
  /// a relative one is below the working folder, which must then lie below the root.
  public func managementPath(_ path: String) throws -> String {
    let whole = absolute(path)
    let root = absolute(options.root)
    if path.hasPrefix("/") || root == "/" { return whole }
    if whole == root { return "/" }
    guard whole.hasPrefix(root + "/") else {
      throw ImageError(
        path, "is \(whole), which is not below the root \(root)",
        advice: "Give its absolute path, as the management node has it")
    }
    return String(whole.dropFirst(root.count))
  }

  // MARK: Small things

  /// The lock of whoever changes an image or its history.
  /// - Parameters:
  ///   - allowsUnfinished: whether a change that was begun and not ended is no obstacle.
  ///   - isDryRun: nothing will be changed: a store that cannot be written needs no lock then.
  /// - Returns: nil where none is needed.
  func lock(
    _ image: ImageName, _ store: ObjectStore, allowsUnfinished: Bool = false,
    isDryRun: Bool = false
  ) throws -> FileLock? {
    Interruption.ignoreClosedPipes()
    let lock =
      isDryRun && store.layout.isReadOnly
      ? nil
      : try lockImage(image, store)
    if !allowsUnfinished { try requireNothingUnfinished(image) }
    return lock
  }

  /// - Throws: `StoreError` (`busy`) where another process still has it after the time that may be waited.
  func lockImage(_ image: ImageName, _ store: ObjectStore) throws -> FileLock {
    try store.lockImage(image, waiting: options.lockWait) { holders in
      let who = holders.isEmpty ? "another imgstore" : holders.joined(separator: ", ")
      mention("waiting: image \(image) is in use by \(who)")
    }
  }

  func cacheKey(_ image: ImageName) -> Digest {
    SHA256.digest(of: rootPath + [0] + image.bytes)
  }

  /// - Parameter before: the snapshot with the state before the change that the command made.
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

/// A path from the command line, made absolute, with "." and ".." taken out by their names.
func absolute(_ path: String) -> String {
  var whole = path
  if !path.hasPrefix("/"), let raw = getcwd(nil, 0) {
    whole = "\(String(cString: raw))/\(path)"
    free(raw)
  }
  var parts: [Substring] = []
  for part in whole.split(separator: "/") where part != "." {
    if part == ".." { parts = parts.dropLast() } else { parts.append(part) }
  }
  return "/" + parts.joined(separator: "/")
}
