// Which pack has which object, for all packs of a depot that this program has seen: tables in the cache
// directory.
//
// 1. A pack never changes, so its rows are valid for ever. Callers decide which packs count: those of a
//    listing.
// 2. The cache may be deleted, cut or damaged at any time, and other processes may add tables: a table that
//    cannot be read is dropped with all others, and the depot is read again.
// 3. Memory: one table of at most `maxRows` rows (48 bytes each, and half of that for sorting) and
//    `maxHeaderBytes` of headers while it is built.

import Codec
import Platform
import Store

/// The known locations. Any thread may call its methods.
final class LocationIndex: Sendable {
  private struct State {
    var tables: [LocationTable] = []
    /// The table of each indexed pack, by its position, and the pack's position there.
    var packs: [DepotPack: (table: Int, pack: Int)] = [:]
    var isLoaded = false
  }

  private let fileSystem: any FileSystem
  /// The directory of the tables; nil keeps them in memory.
  private let directory: Descriptor?
  private let state = Monitor(State())

  /// A table is finished at this number of rows: 48 MB while it is built.
  static let maxRows = 1 << 20
  /// The same for headers of frames with a base.
  static let maxHeaderBytes = 32 << 20
  /// Tables are merged when there are more of them.
  private static let maxTables = 24
  private static let suffix = Array(".table".utf8)

  /// Opens the index in a directory of the cache, which is created.
  init(_ fileSystem: any FileSystem, path: [UInt8]?) {
    self.fileSystem = fileSystem
    // A cache that cannot be used costs time only.
    directory = path.flatMap { path in
      try? fileSystem.makePrivatePath(path)
      return try? fileSystem.openDirectory(at: fileSystem.workingDirectory, path)
    }
  }

  /// Returns the packs among `names` that are not indexed yet.
  func unknown(_ names: some Sequence<DepotPack>) -> [DepotPack] {
    state.withLock { state in
      load(&state)
      return names.filter { state.packs[$0] == nil }
    }
  }

  /// The number of packs that are indexed, deleted ones included.
  var packCount: Int {
    state.withLock { state in
      load(&state)
      return state.packs.count
    }
  }

  private func load(_ state: inout State) {
    guard !state.isLoaded else { return }
    state.isLoaded = true
    guard let directory else { return }
    for name in ((try? fileSystem.names(of: directory.raw)) ?? []).sorted(by: precedes)
    where name.count > LocationIndex.suffix.count && name.suffix(6) == LocationIndex.suffix[...] {
      do {
        let file = try fileSystem.openFile(
          at: directory.raw, name, [.read, .noFollow, .nonBlocking])
        let table = try LocationTable(.file(fileSystem, file), fileName: name)
        add(table, &state)
      } catch {
        // Another process may have merged it; a damaged one is useless.
        try? fileSystem.remove(at: directory.raw, name, isDirectory: false)
      }
    }
  }

  private func add(_ table: LocationTable, _ state: inout State) {
    for (position, pack) in table.packs.enumerated() where state.packs[pack.name] == nil {
      state.packs[pack.name] = (state.tables.count, position)
    }
    state.tables.append(table)
  }

  /// Adds the directories that `produce` passes on. Packs that are known are skipped.
  /// - Throws: errors of `produce`; `CodecError` for a damaged directory.
  func add(_ produce: (_ add: (PackDirectory) throws -> Void) throws -> Void) throws {
    var builder = TableBuilder()
    try produce { directory in
      if builder.contains(directory.pack) || unknown([directory.pack]).isEmpty { return }
      try builder.add(directory)
      if builder.isFull { try finish(&builder) }
    }
    try finish(&builder)
    try mergeTables()
  }

  private func finish(_ builder: inout TableBuilder) throws {
    guard !builder.isEmpty else { return }
    let table = try write(&builder)
    state.withLock { add(table, &$0) }
    builder = TableBuilder()
  }

  private func write(_ builder: inout TableBuilder) throws -> LocationTable {
    if let directory, let table = try? writeFile(&builder, directory) { return table }
    var bytes: [UInt8] = []
    LocationTable.encode(&builder) { bytes += $0 }
    return try LocationTable(.memory(bytes), fileName: nil)
  }

  private func writeFile(
    _ builder: inout TableBuilder, _ directory: Descriptor
  ) throws -> LocationTable {
    let name = Array(randomName().utf8)
    let file = try fileSystem.openFile(
      at: directory.raw, name, [.readWrite, .create, .exclusive, .noFollow])
    do {
      var buffer: [UInt8] = []
      try LocationTable.encode(&builder) { part in
        buffer += part
        if buffer.count >= 1 << 20 {
          try fileSystem.write(file.raw, buffer)
          buffer.removeAll(keepingCapacity: true)
        }
      }
      try fileSystem.write(file.raw, buffer)
      let final = name + LocationIndex.suffix
      try fileSystem.rename(at: directory.raw, name, to: directory.raw, final, exclusively: true)
      return try LocationTable(.file(fileSystem, file), fileName: final)
    } catch {
      try? fileSystem.remove(at: directory.raw, name, isDirectory: false)
      throw error
    }
  }

  /// Merges the small tables into one, if there are many.
  private func mergeTables() throws {
    let tables = state.withLock { $0.tables }
    guard tables.count > LocationIndex.maxTables else { return }
    var merged: Set<ObjectIdentifier> = []
    var rowCount = 0
    var headerBytes = 0
    var builder = TableBuilder()
    for table in tables.sorted(by: { $0.rowCount < $1.rowCount })
    where rowCount + table.rowCount <= LocationIndex.maxRows
      && headerBytes + table.headerBytes <= LocationIndex.maxHeaderBytes
    {
      rowCount += table.rowCount
      headerBytes += table.headerBytes
      merged.insert(ObjectIdentifier(table))
      try builder.add(table)
    }
    guard merged.count > 1 else { return }
    let new = try write(&builder)
    state.withLock { state in
      let kept = state.tables.filter { !merged.contains(ObjectIdentifier($0)) }
      (state.tables, state.packs) = ([], [:])
      for table in kept + [new] { add(table, &state) }
    }
    guard let directory, new.fileName != nil else { return }
    for table in tables where merged.contains(ObjectIdentifier(table)) {
      guard let name = table.fileName else { continue }
      try? fileSystem.remove(at: directory.raw, name, isDirectory: false)
    }
  }

  /// Drops all tables, because one is damaged.
  func clear() {
    state.withLock { state in
      for table in state.tables {
        guard let directory, let name = table.fileName else { continue }
        try? fileSystem.remove(at: directory.raw, name, isDirectory: false)
      }
      state = State()
      state.isLoaded = true
    }
  }

  // MARK: Lookups

  /// Returns all known locations of an object, in no particular order.
  func locations(_ kind: ObjectKind, _ id: Digest) throws -> [ObjectLocation] {
    try locations(LocationKey(kind, id))
  }

  /// Returns all known locations of the object with a key, in no particular order.
  func locations(_ key: LocationKey) throws -> [ObjectLocation] {
    var result: [ObjectLocation] = []
    for table in state.withLock({ $0.tables }) {
      try table.find(key) { row in
        let location = table.location(row)
        // A pack may be in two tables, after two processes have read it.
        if !result.contains(location) { result.append(location) }
      }
    }
    return result
  }

  /// Calls `body` with the key and the location of every object in the packs, in no particular order.
  /// - Throws: `DamagedCacheError` if a table lacks rows of a pack.
  func forEachObject(
    in packs: Set<DepotPack>, _ body: (LocationKey, ObjectLocation) throws -> Void
  ) throws {
    let (tables, owners) = state.withLock { ($0.tables, $0.packs) }
    for (index, table) in tables.enumerated() {
      let isWanted = table.packs.map { packs.contains($0.name) && owners[$0.name]?.table == index }
      guard isWanted.contains(true) else { continue }
      var rowCounts = [Int](repeating: 0, count: table.packs.count)
      try table.forEachRow { row in
        if isWanted[Int(row.pack)] {
          rowCounts[Int(row.pack)] += 1
          try body(row.key, table.location(row))
        }
        return true
      }
      for (position, pack) in table.packs.enumerated() where isWanted[position] {
        guard rowCounts[position] == pack.rowCount else { throw DamagedCacheError() }
      }
    }
  }

  // MARK: Frames with bases

  /// Returns the base of a frame; nil if it has none, or its pack is not indexed.
  /// - Throws: `DamagedCacheError`; `SystemError`.
  func header(ofBasedFrame frame: FrameLocation) throws -> FrameHeader? {
    let found = state.withLock { state in
      state.packs[frame.pack].map { (table: state.tables[$0.table], pack: $0.pack) }
    }
    guard let found, let index = found.table.basedFrame(inPack: found.pack, at: frame.offset)
    else { return nil }
    return try found.table.header(ofBasedFrame: index)
  }

  /// Calls `body` with each frame with a base in the packs, in no particular order.
  /// - Throws: `DamagedCacheError`; `SystemError`; errors of `body`.
  func forEachBasedFrame(
    in packs: Set<DepotPack>, _ body: (FrameLocation, FrameHeader) throws -> Void
  ) throws {
    let (tables, owners) = state.withLock { ($0.tables, $0.packs) }
    for (position, table) in tables.enumerated() {
      for (index, frame) in table.basedFrames.enumerated() {
        guard Int(frame.pack) < table.packs.count else { throw DamagedCacheError() }
        let pack = table.packs[Int(frame.pack)].name
        guard packs.contains(pack), owners[pack]?.table == position else { continue }
        let header = try table.header(ofBasedFrame: index)
        let location = FrameLocation(
          pack: pack, offset: UInt64(frame.offset), frameBytes: header.frameBytes,
          depth: header.base?.depth ?? 0)
        try body(location, header)
      }
    }
  }

  /// Returns whether a frame in the packs has a base.
  func hasBasedFrame(in packs: Set<DepotPack>) -> Bool {
    state.withLock { $0.tables }.contains { table in
      table.basedFrames.contains { frame in
        Int(frame.pack) < table.packs.count && packs.contains(table.packs[Int(frame.pack)].name)
      }
    }
  }

  /// The number of objects in all tables.
  var objectCount: Int { state.withLock { $0.tables.reduce(0) { $0 + $1.rowCount } } }
}
