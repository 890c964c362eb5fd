// A directory as the walk saw it.
//
// 1. The entries are an array until the walk of the directory is complete, records after it
//    (PackedEntries.swift): about 110 bytes for an entry. Entries that all match the stat cache take nothing:
//    they are read from there again if something needs them.
// 2. Directories are the only part of a capture that grows with the image. Content passes through buffers of
//    fixed size.
// 3. Trees that are assembled from archives are never packed.

import Platform
import Store

/// A directory as the walk saw it. The thread that walks it writes it; later another single thread does.
final class ScannedDirectory: @unchecked Sendable {  // written by one thread at a time
  /// The parent; nil for the collection of components.
  let parent: ScannedDirectory?
  let name: [UInt8]
  let depth: Int
  private var storage = Storage.array([])
  /// The directory's record in the stat cache.
  let cached: StatCache.Directory?
  let device: UInt64
  /// The properties of the component's tree; nil for the collection of components.
  let properties: TreeProperties?
  /// Whether the names could not be read.
  var isUnreadable = false
  /// The time that replaces the directory's own, which excluded entries change (`TreeExcludes`).
  var recordedTime: Timestamp?
  /// The directory's ids in the store, after the trees are built.
  var ids: Tree.IDs?
  /// Whether every entry matches the cache and none is missing. Such a directory does not change
  /// after the walk.
  private(set) var matchesCache = false
  private var cachedSummary: Summary?

  /// A summary of a directory's entries.
  struct Summary {
    var fileBytes: UInt64 = 0
    /// Whether an entry other than a directory has several names.
    var hasLinks = false
    /// The subdirectories, in byte order.
    var directories: [ScannedDirectory] = []

    /// Adds an entry.
    mutating func add(_ stat: FileStat, _ content: ScannedContent) {
      if let child = content.directory { directories.append(child) }
      add(stat.kind, stat.size, links: stat.links)
    }

    /// Adds the attributes of an entry.
    mutating func add(_ kind: FileKind, _ size: UInt64, links: UInt32) {
      // The sum is informational: the sizes of sparse files may overflow it.
      if kind == .file { fileBytes &+= size }
      if kind != .directory, links > 1 { hasLinks = true }
    }
  }

  /// The memory of the entries.
  private enum Storage {
    case array([ScannedEntry])
    /// The subdirectories are in the order of their records.
    case packed(PackedEntries, directories: [ScannedDirectory])
    /// The records are in the stat cache.
    case cached(StatCache.Directory, directories: [ScannedDirectory])
  }

  /// The entries. Only for directories that are not packed.
  var entries: [ScannedEntry] {
    get {
      guard case .array(let entries) = storage else { preconditionFailure("packed entries") }
      return entries
    }
    _modify {
      guard case .array(var entries) = storage else { preconditionFailure("packed entries") }
      storage = .array([])
      defer { storage = .array(entries) }
      yield &entries
    }
  }

  /// The number of entries.
  var entryCount: Int {
    if case .array(let entries) = storage { entries.count } else { packedCount }
  }
  private var packedCount = 0

  /// Marks the walk of the directory as complete, and packs the entries. Entries that match the stat cache
  /// stay in it.
  func complete(matchesCache: Bool) {
    let entries = entries
    self.matchesCache = matchesCache
    guard matchesCache, let cached else { return pack(entries) }
    let summary = summary(of: entries)
    cachedSummary = summary
    packedCount = entries.count
    storage = .cached(cached, directories: summary.directories)
  }

  private func pack(_ entries: [ScannedEntry]) {
    let summary = summary(of: entries)
    cachedSummary = summary
    guard let packed = PackedEntries(entries) else {
      storage = .array(entries)
      return
    }
    packedCount = entries.count
    storage = .packed(packed, directories: summary.directories)
  }

  private func summary(of entries: [ScannedEntry]) -> Summary {
    var summary = Summary()
    for i in entries.indices { summary.add(entries[i].stat, entries[i].content) }
    return summary
  }

  var summary: Summary {
    if let cachedSummary { return cachedSummary }
    var summary = Summary()
    switch storage {
    case .array(let entries): summary = self.summary(of: entries)
    case .packed(let packed, let directories):
      for i in 0..<packed.count {
        packed.withView(i) { summary.add($0.kind, $0.size, links: $0.links) }
      }
      summary.directories = directories
    case .cached: preconditionFailure("the summary of a directory in the cache does not change")
    }
    cachedSummary = summary
    return summary
  }

  /// Releases the entries. Directories refer to their parents, so they would keep each other alive.
  func releaseChildren() {
    storage = .array([])
    cachedSummary = nil
  }

  /// Discards the summary, because entries changed: they vanished, or were read with another size or link
  /// count than the walk saw.
  private func invalidateSummary() { cachedSummary = nil }

  // MARK: Packed entries

  /// Calls `body` with each entry.
  /// - Throws: errors of `body`; `StoreError` if the stat cache cannot be read again.
  func forEachEntry(_ body: (ScannedEntry) throws -> Void) throws {
    if case .array(let entries) = storage {
      for i in entries.indices { try body(entries[i]) }
      return
    }
    try forEachView { view, defaults, directory in
      try body(view.entry(defaults, directory))
    }
  }

  /// Calls `body` with the attributes of each entry, its link group, its name and, if it is one, the
  /// subdirectory. This takes a fraction of the time of `forEachEntry`.
  /// - Throws: errors of `body`; `StoreError` if the stat cache cannot be read again.
  func forEachStat(
    _ body: (FileStat, _ linkGroup: UInt64, _ name: () -> [UInt8], ScannedDirectory?) throws -> Void
  ) throws {
    if case .array(let entries) = storage {
      for i in entries.indices {
        try body(
          entries[i].stat, entries[i].linkGroup, { entries[i].name }, entries[i].content.directory)
      }
      return
    }
    try forEachView { view, defaults, directory in
      try body(view.stat(defaults), view.linkGroup, { Array(view.name) }, directory)
    }
  }

  /// Calls `body` with the index and the attributes of each file that must be read.
  func forEachUnread(_ body: (Int, FileStat) throws -> Void) throws {
    if case .array(let entries) = storage {
      for i in entries.indices where !entries[i].content.isKnown { try body(i, entries[i].stat) }
      return
    }
    if matchesCache { return }
    var index = 0
    try forEachView { view, defaults, _ in
      if view.state == .unread { try body(index, view.stat(defaults)) }
      index += 1
    }
  }

  /// Calls `body` with the record of each entry that is packed, and its subdirectory.
  private func forEachView(
    _ body: (EntryView, EntryRecord.Defaults, ScannedDirectory?) throws -> Void
  ) throws {
    func visit(
      _ bytes: UnsafeRawBufferPointer, _ count: Int, _ defaults: EntryRecord.Defaults,
      _ directories: [ScannedDirectory]
    ) throws -> Bool {
      var next = directories.makeIterator()
      return try forEachRecord(in: bytes, count: count) { view in
        try body(view, defaults, view.state == .directory ? next.next() : nil)
      }
    }
    switch storage {
    case .array: return
    case .packed(let packed, let directories):
      let isWhole = try packed.bytes.withUnsafeBufferPointer { bytes in
        try visit(UnsafeRawBufferPointer(bytes), packed.count, packed.defaults, directories)
      }
      precondition(isWhole, "packed entries are whole")
    case .cached(let cached, let directories):
      guard let records = cached.records(), records.count == packedCount,
        try visit(records.bytes, records.count, records.defaults, directories)
      else {
        throw StoreError.damaged(
          "the stat cache", "could be read at first, but not any more: \(address.path.text)")
      }
    }
  }

  /// Returns all entries.
  /// - Throws: `StoreError` if the stat cache cannot be read again.
  func loadEntries() throws -> [ScannedEntry] {
    if case .array(let entries) = storage { return entries }
    var entries: [ScannedEntry] = []
    entries.reserveCapacity(packedCount)
    try forEachEntry { entries.append($0) }
    return entries
  }

  /// Returns an entry of a directory that does not match the stat cache.
  func entry(at index: Int) -> ScannedEntry? {
    switch storage {
    case .array(let entries): return entries[index]
    case .packed(let packed, _):
      return packed.withView(index) { view in
        // Nobody asks for a single directory, so its position is not known.
        view.state == .directory ? nil : view.entry(packed.defaults, nil)
      } ?? nil
    case .cached: return nil
    }
  }

  /// Changes all entries.
  /// - Throws: errors of `body`; `StoreError` if the stat cache cannot be read again.
  func update(_ body: (inout [ScannedEntry]) throws -> Void) throws {
    var entries = try loadEntries()
    try body(&entries)
    if case .array = storage {
      storage = .array(entries)
      invalidateSummary()
    } else {
      pack(entries)
    }
  }

  /// Replaces entries that are not directories.
  /// - Throws: `StoreError` if the stat cache cannot be read again.
  func replace(_ changes: [(index: Int, entry: ScannedEntry)]) throws {
    if changes.isEmpty { return }
    var rest = changes
    if case .packed(var packed, let directories) = storage {
      // Without a second reference the bytes are changed in place.
      storage = .array([])
      rest = changes.filter { !packed.replace($0.index, with: $0.entry) }
      storage = .packed(packed, directories: directories)
      invalidateSummary()
    }
    if rest.isEmpty { return }
    try update { entries in
      for (index, entry) in rest { entries[index] = entry }
    }
  }

  init(
    name: [UInt8], parent: ScannedDirectory?, cached: StatCache.Directory?, device: UInt64 = 0,
    properties: TreeProperties? = nil
  ) {
    self.device = device
    self.properties = properties ?? parent?.properties
    self.name = name
    self.parent = parent
    self.cached = cached
    depth = (parent?.depth ?? -1) + 1
  }

  /// The path in the directory's component.
  var relativePath: RelativePath { parent == nil ? .top : address.path }

  /// The address in the image.
  var address: ImagePath { parent?.address(of: name) ?? ImagePath(component: name) }

  /// Returns the address of an entry. The entries of the collection of components have the paths of these as
  /// names.
  func address(of entry: [UInt8]) -> ImagePath {
    guard parent != nil else { return ImagePath(component: entry) }
    var names = [entry]
    var directory = self
    while let parent = directory.parent, parent.parent != nil {
      names.append(directory.name)
      directory = parent
    }
    return ImagePath(component: directory.name, path: RelativePath(components: names.reversed()))
  }
}

extension ScannedContent {
  var directory: ScannedDirectory? {
    if case .directory(let directory) = self { directory } else { nil }
  }
}
