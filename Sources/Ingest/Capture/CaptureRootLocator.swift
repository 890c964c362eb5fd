// Locates the components of a capture: each requested path and, if it is a symbolic link, its target.
//
// 1. A component is the entry at exactly its path. A symbolic link is captured as a link. Its
//    target is a separate component (`CaptureRoot.target`), link by link.
// 2. Links in the directories above a path are followed, because the administrator created them.
// 3. A target that another component already contains is not a separate component.
// 4. A path that cannot be examined becomes a component without content, with a note. Only a path
//    that does not exist is absent.
// 5. A capture is refused if a component is the store's directory or inside it.

import Platform
import Store

extension CaptureRoot {
  /// Returns the request for the target of a link.
  /// - Parameter link: the path of the link.
  static func target(_ path: AbsolutePath, of link: [UInt8]) -> CaptureRoot {
    CaptureRoot(role: .target(of: link), path: path)
  }
}

/// The located components of a capture.
struct LocatedRoots {
  let live: ScannedDirectory
  var requests: [CaptureRoot] = []
  var absent: [CaptureRoot] = []
  var notes: [Snapshot.Note] = []
  var roots: [(ScannedDirectory, Descriptor)] = []
  var descriptors = RootDescriptors()
}

/// Locates the components of one capture.
struct CaptureRootLocator {
  /// The number of links that the kernel follows.
  private static let maxLinks = 40

  private let resolver: PathResolver
  private let walker: Walker
  private let store: FileIdentity?
  private let cache: StatCache?
  private let excludes: TreeExcludes?
  /// Where components are that are not at their paths yet.
  var locations: [AbsolutePath: ResolvedPath] = [:]
  /// The components of an earlier capture, which need not be walked again.
  var known: [ScannedEntry] = []
  private var fileSystem: any FileSystem { resolver.fileSystem }

  private var candidates: [Candidate] = []
  private var absent: [CaptureRoot] = []
  private var notes: [Snapshot.Note] = []
  private var mountedDirectories: Set<AbsolutePath> = []
  /// Directories that are known to be outside the store.
  private var directoriesOutside: Set<FileIdentity> = []

  private struct Candidate {
    let request: CaptureRoot
    let located: LocatedPath
    let stat: FileStat
    /// The target of a link; nil for other kinds, and if it cannot be read.
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

  /// Locates `requests`, and the targets of those that are links, in the order of their paths.
  /// - Throws: `StoreError` if a component is inside the store; `SystemError` if descriptors or
  ///   memory are exhausted.
  mutating func locate(_ requests: [CaptureRoot]) throws -> LocatedRoots {
    for request in requests { try find(request) }
    var i = 0
    while i < candidates.count {
      try follow(candidates[i], requests)
      i += 1
    }
    var cached: [[UInt8]: StatCache.Entry] = [:]
    if var cursor = cache?.root.cursor() {
      while let entry = cursor.next() { cached[Array(entry.name)] = entry }
    }
    var located = LocatedRoots(
      live: ScannedDirectory(name: [], parent: nil, cached: cache?.root))
    for candidate in candidates.sorted(by: {
      precedes($0.request.path.bytes, $1.request.path.bytes)
    }) {
      try add(candidate, cached[candidate.request.path.bytes], &located)
    }
    located.absent = absent
    located.notes = notes
    for directory in mountedDirectories.sorted(by: { precedes($0.bytes, $1.bytes) }) {
      located.notes.append(Snapshot.Note(.mountedFolder, path: directory.bytes))
    }
    return located
  }

  // MARK: Finding

  private mutating func find(_ request: CaptureRoot) throws {
    do throws(SystemError) {
      if let location = locations[request.path] {
        try find(request, at: LocatedPath(location: location, path: request.path))
      } else {
        try find(request, at: try resolver.locate(request.path))
      }
    } catch {
      if error.isExhaustion { throw error }
      if error.isAbsent {
        absent.append(request)
      } else {
        notes.append(
          Snapshot.Note(.unreadable, path: request.path.bytes, detail: "\(error.code)"))
        if let unexamined = unexamined(request) { candidates.append(unexamined) }
      }
    }
    if let last = candidates.last, last.request == request { try requireOutsideStore(last) }
  }

  private mutating func find(
    _ request: CaptureRoot, at located: LocatedPath
  ) throws(SystemError) {
    let location = located.location
    let stat = try fileSystem.stat(at: location.directory.raw, location.name, followLink: false)
    mountedDirectories.formUnion(located.mountedDirectories)
    var target: [UInt8]?
    if stat.kind == .symlink {
      target = try fileSystem.readLink(at: location.directory.raw, location.name)
    }
    candidates.append(
      Candidate(
        request: request, located: located, stat: stat, target: target, isExamined: true))
  }

  /// Returns what the parent directory reveals about a path that cannot be examined itself.
  private func unexamined(_ request: CaptureRoot) -> Candidate? {
    let (path, name) = (request.path, request.path.lastComponent)
    guard !path.isRoot,
      let location = try? resolver.resolve(path.parent),
      let directory = try? fileSystem.openDirectory(at: location.directory.raw, location.name),
      let kind = (try? fileSystem.kinds(of: directory.raw))?[name]
    else { return nil }
    let never = Timestamp(seconds: 0, nanoseconds: 0)
    return Candidate(
      request: request,
      located: LocatedPath(
        location: ResolvedPath(directory: directory, name: name), path: path, mountedDirectories: []
      ),
      stat: FileStat(kind: kind, mode: 0, uid: 0, gid: 0, modified: never), target: nil,
      isExamined: false)
  }

  /// Locates the target of a link, unless another component contains it.
  private mutating func follow(_ link: Candidate, _ requests: [CaptureRoot]) throws {
    guard let target = link.target, candidates.count < requests.count * CaptureRootLocator.maxLinks
    else {
      return
    }
    let located: LocatedPath
    do throws(SystemError) {
      // Resolve all links: a cycle is an error.
      _ = try resolver.resolve(link.located.path)
      located = try resolver.locate(target: target, of: link.located)
      _ = try fileSystem.stat(
        at: located.location.directory.raw, located.location.name, followLink: false)
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
    let isContained = candidates.contains { candidate in
      candidate.located.path == located.path
        || candidate.stat.kind == .directory && located.path.isInside(candidate.located.path)
        // The target directory contains components that were requested separately.
        || candidate.request.role == link.request.role
          && candidate.located.path.isInside(located.path)
    }
    if isContained { return }
    let path = spelling(of: located, target, link)
    try find(.target(path, of: link.request.path.bytes), at: located)
    if let last = candidates.last { try requireOutsideStore(last) }
  }

  /// Returns the target's path as the link spells it, if that resolves to the same location. This
  /// path stays correct when the administrator repoints a link in a directory above.
  private func spelling(
    of located: LocatedPath, _ target: [UInt8], _ link: Candidate
  ) -> AbsolutePath {
    let parts = writtenComponents(target)
    guard !parts.isEmpty, !parts.contains([0x2e, 0x2e]) else { return located.path }
    let base = target.first == 0x2f ? [] : link.request.path.parent.components
    let path = AbsolutePath(components: base + parts)
    guard let other = try? resolver.locate(path), other.path == located.path else {
      return located.path
    }
    return path
  }

  private mutating func requireOutsideStore(_ candidate: Candidate) throws {
    guard let store else { return }
    let directory = candidate.located.location.directory
    let identity = FileIdentity(try fileSystem.stat(directory.raw))
    var isInside = FileIdentity(candidate.stat) == store
    if !isInside, !directoriesOutside.contains(identity) {
      isInside = try fileSystem.isInside(directory, store)
      if !isInside { directoriesOutside.insert(identity) }
    }
    guard isInside else { return }
    throw StoreError(
      .refused, printable(candidate.request.path.bytes),
      "belongs to the image (\(candidate.request.role.text)) but is inside the store",
      hint: "Move it out of the store's directory, or change the definition")
  }

  // MARK: The live tree

  private func add(
    _ candidate: Candidate, _ match: StatCache.Entry?, _ located: inout LocatedRoots
  ) throws(SystemError) {
    let path = candidate.request.path.bytes
    var entry = ScannedEntry(name: path, stat: candidate.stat, content: .unreadable)
    if let known = known.first(where: { $0.name == path && $0.isSame(as: candidate.stat) }) {
      entry = known
    } else if candidate.isExamined {
      do {
        try fill(&entry, candidate, match, &located)
      } catch {
        if error.isExhaustion { throw error }
        walker.note(.unreadable, path, "\(error.code)")
        entry.isCached = false
        entry.content = .unreadable
      }
    }
    located.requests.append(candidate.request)
    located.live.entries.append(entry)
  }

  private func fill(
    _ entry: inout ScannedEntry, _ candidate: Candidate, _ match: StatCache.Entry?,
    _ located: inout LocatedRoots
  ) throws(SystemError) {
    let (location, stat, path) = (
      candidate.located.location, candidate.stat, candidate.request.path.bytes
    )
    let isUpToDate = match?.isUpToDate(with: stat) ?? false
    entry.isCached = isUpToDate
    entry.xattrs =
      isUpToDate ? match?.xattrs : try walker.readXattrs(location.directory, location.name)
    entry.flags = (isUpToDate ? match?.flags : nil) ?? stat.flags
    switch stat.kind {
    case .directory:
      let descriptor = try fileSystem.openDirectory(at: location.directory.raw, location.name)
      let properties = TreeProperties(
        of: stat, descriptor, excludes: excludes?.patterns(for: candidate.request), on: fileSystem)
      if properties.boundary.evidence == .deviceNumbers {
        walker.note(.unknownMounts, path, "neither statx nor /proc/self/mountinfo tells")
      }
      if !isUpToDate, properties.needsFlagRequest {
        entry.flags = fileSystem.inodeFlags(of: descriptor.raw, stat)
      }
      let directory = ScannedDirectory(
        name: path, parent: located.live,
        cached: match?.kind == .directory ? match?.directory : nil, device: stat.device,
        properties: properties)
      entry.content = .directory(directory)
      located.roots.append((directory, descriptor))
      located.descriptors.trees[ObjectIdentifier(directory)] = descriptor
    case .file:
      if let match, let blob = match.blob, match.confirmsContent(of: stat) {
        entry.content = .file(blob: blob)
        entry.holes = match.holes
      } else {
        entry.isCached = false
        entry.content = stat.size == 0 ? .file(blob: emptyBlob) : .unread
      }
      // `ContentReader` requests the flags of the files that it reads.
      if !entry.isCached, entry.content.isKnown {
        entry.flags = try walker.requestFlags(location.directory, location.name, stat)
      }
      located.descriptors.files[path] = location
    case .symlink:
      entry.content = .symlink(candidate.target ?? [])
      entry.flags = []
    case .characterDevice, .blockDevice, .fifo, .socket:
      entry.content = .node
      entry.flags = []
    }
  }
}

extension ScannedEntry {
  /// Returns whether an entry is the same one as now, with the same attributes. A rename changes its ctime.
  fileprivate func isSame(as now: FileStat) -> Bool {
    var seen = stat
    seen.changed = now.changed
    return seen == now
  }
}
