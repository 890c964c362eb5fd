// Where the pieces of a capture are: each requested path, and what it leads to where it is a link.
//
// 1. A piece is the entry at its very path. A symbolic link there is captured as the link that it is;
//    what it leads to is a piece of its own (`CaptureRoot.target`), link by link.
// 2. Links in the folders above a path are followed: they are the administrator's.
// 3. What a link leads to is no piece of its own where another piece holds it already.
// 4. A path that cannot be examined is a piece without content, and is noted. Only a path that does
//    not exist is absent.
// 5. A piece that is the store's folder, or lies in it, refuses the capture.

import Codec
import Platform
import Store

extension CaptureRoot {
  private static let targetPrefix = "target of "

  /// The request for what a link leads to.
  /// - Parameter link: the link's own path.
  static func target(_ path: AbsolutePath, of link: [UInt8]) -> CaptureRoot {
    CaptureRoot(role: targetRole(of: link), path: path)
  }

  /// The role of what the link at a path leads to.
  public static func targetRole(of link: [UInt8]) -> String { targetPrefix + printable(link) }

  /// A piece of this role is what a link leads to. Other links and other images may lead there, too.
  public static func isTargetRole(_ role: String) -> Bool { role.hasPrefix(targetPrefix) }
}

/// The pieces of a capture, found.
struct LocatedRoots {
  let live: ScannedDirectory
  var requests: [CaptureRoot] = []
  var absent: [CaptureRoot] = []
  var notes: [Snapshot.Note] = []
  var roots: [(ScannedDirectory, Descriptor)] = []
  var places = RootDescriptors()
}

/// Finds the pieces of one capture.
struct CaptureRootLocator {
  /// As many links as the kernel follows.
  private static let maxLinks = 40

  private let resolver: PathResolver
  private let walker: Walker
  private let store: FileIdentity?
  private let cache: StatCache?
  private let excludes: TreeExcludes?
  private var fileSystem: any FileSystem { resolver.fileSystem }

  private var found: [Found] = []
  private var absent: [CaptureRoot] = []
  private var notes: [Snapshot.Note] = []
  private var mountedFolders: Set<AbsolutePath> = []
  /// Folders that are known to lie outside of the store.
  private var foldersOutside: Set<FileIdentity> = []

  private struct Found {
    let request: CaptureRoot
    let located: LocatedPath
    let stat: FileStat
    /// The target of a link; nil for other kinds, and where it cannot be read.
    let target: [UInt8]?
    let isExamined: Bool
  }

  init(
    _ resolver: PathResolver, _ walker: Walker, cache: StatCache?, store: FileIdentity?,
    excludes: TreeExcludes?
  ) {
    self.excludes = excludes
    self.resolver = resolver
    self.walker = walker
    self.cache = cache
    self.store = store
  }

  /// Locates `requests`, and what those that are links lead to, in the order of their paths.
  /// - Throws: `StoreError` where a piece lies in the store; `SystemError` where descriptors or memory
  ///   are lacking.
  mutating func locate(_ requests: [CaptureRoot]) throws -> LocatedRoots {
    for request in requests { try find(request) }
    var i = 0
    while i < found.count {
      try follow(found[i], requests)
      i += 1
    }
    var cached: [[UInt8]: StatCache.Entry] = [:]
    if var cursor = cache?.root.cursor() {
      while let entry = cursor.next() { cached[Array(entry.name)] = entry }
    }
    var pieces = LocatedRoots(
      live: ScannedDirectory(name: [], parent: nil, cached: cache?.root))
    for piece in found.sorted(by: { precedes($0.request.path.bytes, $1.request.path.bytes) }) {
      try add(piece, cached[piece.request.path.bytes], &pieces)
    }
    pieces.absent = absent
    pieces.notes = notes
    for folder in mountedFolders.sorted(by: { precedes($0.bytes, $1.bytes) }) {
      pieces.notes.append(Snapshot.Note(.mountedFolder, path: folder.bytes))
    }
    return pieces
  }

  // MARK: Finding

  private mutating func find(_ request: CaptureRoot) throws {
    do throws(SystemError) {
      try find(request, at: try resolver.locate(request.path))
    } catch {
      if error.isExhaustion { throw error }
      if error.isAbsent {
        absent.append(request)
      } else {
        notes.append(
          Snapshot.Note(.unreadable, path: request.path.bytes, detail: "\(error.code)"))
        if let unexamined = unexamined(request) { found.append(unexamined) }
      }
    }
    if let last = found.last, last.request == request { try requireOutsideStore(last) }
  }

  private mutating func find(
    _ request: CaptureRoot, at located: LocatedPath
  ) throws(SystemError) {
    let place = located.place
    let stat = try fileSystem.stat(at: place.directory.raw, place.name, followLink: false)
    mountedFolders.formUnion(located.mountedFolders)
    var target: [UInt8]?
    if stat.kind == .symlink {
      target = try fileSystem.readLink(at: place.directory.raw, place.name)
    }
    found.append(
      Found(
        request: request, located: located, stat: stat, target: target, isExamined: true))
  }

  /// What the folder above says of a path that cannot be examined itself.
  private func unexamined(_ request: CaptureRoot) -> Found? {
    let (path, name) = (request.path, request.path.lastComponent)
    guard !path.components.isEmpty,
      let place = try? resolver.resolve(path.parent),
      let folder = try? fileSystem.openDirectory(at: place.directory.raw, place.name),
      let kind = (try? fileSystem.kinds(of: folder.raw))?[name]
    else { return nil }
    let never = Timestamp(seconds: 0, nanoseconds: 0)
    return Found(
      request: request,
      located: LocatedPath(
        place: ResolvedPath(directory: folder, name: name), path: path, mountedFolders: []),
      stat: FileStat(kind: kind, mode: 0, uid: 0, gid: 0, modified: never), target: nil,
      isExamined: false)
  }

  /// Finds what a link leads to, unless a piece holds it.
  private mutating func follow(_ link: Found, _ requests: [CaptureRoot]) throws {
    guard let target = link.target, found.count < requests.count * CaptureRootLocator.maxLinks
    else {
      return
    }
    let located: LocatedPath
    do throws(SystemError) {
      // Through all links: a circle is an error.
      _ = try resolver.resolve(link.located.path)
      located = try resolver.locate(target: target, of: link.located)
      _ = try fileSystem.stat(
        at: located.place.directory.raw, located.place.name, followLink: false)
    } catch {
      if error.isExhaustion { throw error }
      let path = link.request.path.bytes
      if error.isAbsent || error.code == .loop {
        notes.append(
          Snapshot.Note(.absent, path: path, detail: "it is a link that leads to nothing"))
      } else {
        notes.append(Snapshot.Note(.unreadable, path: path, detail: "\(error.code)"))
      }
      return
    }
    let isHeld = found.contains { piece in
      piece.located.path == located.path
        || piece.stat.kind == .directory && located.path.isInside(piece.located.path)
        // The parts of a folder that was given piece by piece.
        || piece.request.role == link.request.role
          && piece.located.path.isInside(located.path)
    }
    if isHeld { return }
    let path = spelling(of: located, target, link)
    try find(.target(path, of: link.request.path.bytes), at: located)
    if let last = found.last { try requireOutsideStore(last) }
  }

  /// The path of a target as the link says it, where that leads to the same place: it stays right
  /// where a folder above is a link that the administrator points elsewhere.
  private func spelling(
    of located: LocatedPath, _ target: [UInt8], _ link: Found
  ) -> AbsolutePath {
    let parts = target.split(separator: 0x2f).map(Array.init).filter { $0 != [0x2e] }
    guard !parts.isEmpty, !parts.contains([0x2e, 0x2e]) else { return located.path }
    let base = target.first == 0x2f ? [] : link.request.path.parent.components
    let path = AbsolutePath(components: base + parts)
    guard let other = try? resolver.locate(path), other.path == located.path else {
      return located.path
    }
    return path
  }

  private mutating func requireOutsideStore(_ piece: Found) throws {
    guard let store else { return }
    let directory = piece.located.place.directory
    let identity = FileIdentity(try fileSystem.stat(directory.raw))
    var isInside = FileIdentity(piece.stat) == store
    if !isInside, !foldersOutside.contains(identity) {
      isInside = try fileSystem.isInside(directory, store)
      if !isInside { foldersOutside.insert(identity) }
    }
    guard isInside else { return }
    throw StoreError(
      .refused, printable(piece.request.path.bytes),
      "belongs to the image (\(piece.request.role)) and lies in the store",
      advice: "Move it out of the store's folder, or change the definition")
  }

  // MARK: The live tree

  private func add(
    _ piece: Found, _ match: StatCache.Entry?, _ pieces: inout LocatedRoots
  ) throws(SystemError) {
    let path = piece.request.path.bytes
    var entry = ScannedEntry(name: path, stat: piece.stat, content: .unreadable)
    if piece.isExamined {
      do {
        try fill(&entry, piece, match, &pieces)
      } catch {
        if error.isExhaustion { throw error }
        walker.note(.unreadable, path, "\(error.code)")
        entry.isCached = false
        entry.content = .unreadable
      }
    }
    pieces.requests.append(piece.request)
    pieces.live.entries.append(entry)
  }

  private func fill(
    _ entry: inout ScannedEntry, _ piece: Found, _ match: StatCache.Entry?,
    _ pieces: inout LocatedRoots
  ) throws(SystemError) {
    let (place, stat, path) = (piece.located.place, piece.stat, piece.request.path.bytes)
    let isUpToDate = match?.isUpToDate(with: stat) ?? false
    entry.isCached = isUpToDate
    entry.xattrs =
      isUpToDate ? match?.xattrs : try walker.readXattrs(place.directory, place.name)
    entry.flags = (isUpToDate ? match?.flags : nil) ?? stat.flags
    switch stat.kind {
    case .directory:
      let descriptor = try fileSystem.openDirectory(at: place.directory.raw, place.name)
      let traits = TreeTraits(
        of: stat, descriptor, excludes: excludes?.patterns(for: piece.request), on: fileSystem)
      if traits.boundary.evidence == .deviceNumbers {
        walker.note(.unknownMounts, path, "neither statx nor /proc/self/mountinfo tells")
      }
      if !isUpToDate, traits.needsFlagRequest {
        entry.flags = walker.requestFlags(descriptor, stat)
      }
      let directory = ScannedDirectory(
        name: path, parent: pieces.live,
        cached: match?.kind == .directory ? match?.directory : nil, device: stat.device,
        traits: traits)
      entry.content = .directory(directory)
      pieces.roots.append((directory, descriptor))
      pieces.places.trees[ObjectIdentifier(directory)] = descriptor
    case .file:
      if isUpToDate, let blob = match?.blob {
        entry.content = .file(blob: blob)
        entry.holes = match?.holes
      } else {
        entry.isCached = false
        entry.content = stat.size == 0 ? .file(blob: emptyBlob) : .unread
      }
      pieces.places.files[path] = place
    case .symlink:
      entry.content = .symlink(piece.target ?? [])
      entry.flags = []
    case .characterDevice, .blockDevice, .fifo, .socket:
      entry.content = .node
      entry.flags = []
    }
  }
}
