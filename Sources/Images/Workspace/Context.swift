// What the collaborators of a command share: the store, the root of the management node, xCAT's tables, and a
// receiver of messages. A collaborator holds a context, never a workspace.

import Codec
import Glibc
import Platform
import Recipes
import Settings
import Store
import XCAT

/// A part of a command that needs nothing but the context.
protocol Collaborator: Sendable {
  init(context: Context)
}

extension Collaborator {
  init(_ context: Context) { self.init(context: context) }
}

/// The shared environment of the commands of a workspace.
struct Context: Sendable {
  let options: WorkspaceOptions
  let fileSystem: any FileSystem
  /// How long to wait for locks: one time for all waits of the command.
  let lockWait: LockWait
  /// The progress of the running command.
  let progress: Progress
  /// The resolver of paths below the root.
  let resolver: PathResolver
  /// The absolute path of the root, on this machine.
  let rootPath: [UInt8]
  let reporter: Reporter
  private let opened = Monitor<ObjectStore?>(nil)
  /// The remotes whose snapshots the command reads in place, by name.
  let openRemotes = Monitor<[String: RemoteObjects]>([:])

  /// Opens the root. The store is opened later.
  /// - Throws: `ImageError` if the root cannot be opened as a directory.
  init(
    _ options: WorkspaceOptions, fileSystem: any FileSystem, progress: Progress, reporter: Reporter
  ) throws {
    self.options = options
    self.fileSystem = fileSystem
    self.progress = progress
    self.reporter = reporter
    lockWait = options.lockWait.shared
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

  /// Returns the time of the workspace's clock.
  func now() -> Timestamp { options.clock.now() }

  /// Returns the settings of an image.
  func settings(of image: ImageName) -> ImageSettings {
    options.configuration.settings(of: image.text)
  }

  // MARK: The store

  /// Returns the store, and opens it at the first call.
  /// - Parameters:
  ///   - create: creates the store if nothing exists at its path.
  ///   - odd: what to do if another kind of entry has the name of one of the store's directories.
  ///   - isAnnounced: reports the creation of a store, and refuses it where an existing store is probably
  ///     just not mounted.
  /// - Throws: `StoreError` (`notFound`) if the store does not exist; `ImageError` (`storeNotFound`) if it
  ///   may not be created.
  func store(
    create: Bool = false, odd: OddLayoutPolicy = .refuse, isAnnounced: Bool = true
  ) throws -> ObjectStore {
    if let store = opened.withLock({ $0 }) { return store }
    let isAbsent = create && isAnnounced && isStoreAbsent
    if isAbsent { try StoreCreation(self).requireStoreMayBeMade() }
    let isNew = isAbsent && options.announcesNewStore
    let store = try openStore(create: create, odd: odd)
    opened.withLock { $0 = store }
    // A quiet command reports it too: the path may be the mount point of a disk that is not mounted.
    if isNew {
      (options.isQuiet ? reporter.warn : reporter.inform)(
        "made a new store in \(printable(storePath))")
    }
    return store
  }

  private func openStore(create: Bool, odd: OddLayoutPolicy) throws -> ObjectStore {
    let report = reporter.inform
    do throws(StoreError) {
      return try ObjectStore(
        fileSystem, path: storePath, create: create, odd: odd, owner: options.storeOwner,
        reconstructor: PlanReconstructor(), report: report)
    } catch {
      if error.kind == .notFound { try StoreCreation(self).requireStoreMayBeMade() }
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
  var absentStore: String? { isStoreAbsent ? printable(storePath) : nil }

  /// The absolute path of the store's directory, which may be absent.
  var storePath: [UInt8] { Array(absolute(options.store).utf8) }

  private var isStoreAbsent: Bool {
    let format = storePath + Array("/format".utf8)
    do {
      return try fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, format, followLink: true) == nil
    } catch { return false }
  }

  // MARK: xCAT

  /// Returns all tables that define images.
  /// - Throws: see `TableLocator.tables`.
  func tables() throws -> ImageTables { try TableLocator(self).tables() }

  /// Returns xCAT's install directory, as the site table sets it (`/install` by default).
  func installDirectory(_ tables: any TableBackend) throws -> AbsolutePath {
    let text = try tables.site("installdir") ?? "/install"
    guard let path = AbsolutePath(text), !path.isRoot else {
      throw ImageError("site.installdir", "is '\(text)', not an absolute path")
    }
    return path
  }

  // MARK: Snapshots

  /// Returns the name of an image's stat cache, which depends on the root, too.
  func cacheKey(_ image: ImageName) -> Digest {
    SHA256.digest(of: rootPath + [0] + image.bytes)
  }

  /// Returns the facts that a new snapshot records about its origin: host, user, command, tool.
  /// - Parameter before: the snapshot of the state before the command's change; nil if there is none.
  func provenance(_ command: RecordedCommand, before: Digest? = nil) -> [Snapshot.Fact] {
    var host = [CChar](repeating: 0, count: 256)
    gethostname(&host, host.count - 1)
    let name = String(
      decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return [
      .init(.host, name), .init(.user, CallerIdentity.text(fileSystem)),
      .init(.command, command.text), .init(.tool, "imgstore \(Workspace.version)"),
    ] + (before.map { [.init(.before, $0.hex)] } ?? [])
  }
}

/// Returns the working directory of the command.
public func workingDirectory() -> String {
  guard let raw = getcwd(nil, 0) else { return "." }
  defer { free(raw) }
  return String(cString: raw)
}

/// Returns a path of the command line as an absolute path. "." and ".." are removed lexically; links are not
/// looked up.
func absolute(_ path: String) -> String {
  let fullPath = path.hasPrefix("/") ? path : "\(workingDirectory())/\(path)"
  var parts: [Substring] = []
  for part in fullPath.split(separator: "/") where part != "." {
    if part == ".." { parts = parts.dropLast() } else { parts.append(part) }
  }
  return "/" + parts.joined(separator: "/")
}
