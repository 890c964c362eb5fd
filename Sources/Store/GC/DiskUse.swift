// Disk use: the bytes that snapshots use, and the bytes that gc would free without them.
//
// Each object gets the set of snapshots that reach it. Directories are visited once, parents before
// children, and pass their sets to their entries. The bytes that gc would free follow from the rules of gc
// itself (PackUsage).

import Platform

/// The disk use of a store at one moment.
public struct DiskUse: Sendable {
  /// The disk use of some snapshots, in bytes on disk.
  public struct Use: Sendable, Equatable {
    /// The bytes of all objects that the snapshots reach.
    public var reachedBytes: UInt64 = 0
    /// The bytes of the objects that no other snapshot reaches.
    public var uniqueBytes: UInt64 = 0
    /// The bytes that `forget` and `gc` free if exactly these snapshots are removed.
    public var freedBytes: UInt64 = 0
    public var sharedBytes: UInt64 { reachedBytes - min(reachedBytes, uniqueBytes) }
  }

  /// All snapshots, ordered by image and number.
  public let snapshots: [SnapshotName]
  /// The snapshots whose refs cannot be read, with the reasons. Their objects count as unneeded, so nothing
  /// is known about the bytes that `gc` frees.
  public let unreadable: [(name: SnapshotName, reason: String)]
  /// The snapshots whose refs are lost. The same holds for them.
  public let lost: [SnapshotName]
  /// Whether all snapshots could be read, so that `gc` runs.
  public var isComplete: Bool { unreadable.isEmpty && lost.isEmpty }
  public let packCount: Int
  public let packBytes: UInt64
  public let refBytes: UInt64
  /// The bytes that `gc` would free now.
  public private(set) var collectableBytes: UInt64
  /// The bytes of objects that no snapshot reaches, including those that `gc` would leave in place.
  public let deadBytes: UInt64

  private let members: [SnapshotName: Int]
  private let sizes: [UInt64]
  private let sets: InternedSnapshotSets
  private let survey: PackUsage
  private let usages: PrefixMap
  private let store: ObjectStore
  /// For each set of snapshots: its bytes, and the packs that hold some of them.
  private let setBytes: [UInt64]
  private let setPacks: [[Int]]
  /// The sets that have bytes. The others are unions on the way to them.
  private let setsInUse: [Int]
  /// For each snapshot: the bytes that it reaches.
  private let memberBytes: [UInt64]

  init(_ store: ObjectStore, isTolerant: Bool, progress: Progress) throws {
    progress.begin("counting")
    var walk = UsageWalk()
    var names: [SnapshotName] = []
    var sizes: [UInt64] = []
    var roots: [(ObjectReference, Int)] = []
    var unreadable: [(name: SnapshotName, reason: String)] = []
    var lost: [SnapshotName] = []
    if isTolerant {
      for image in try store.refs.everyImage() {
        lost += try store.refs.lostNumbers(of: image).map { SnapshotName(image: image, number: $0) }
      }
    } else {
      try store.refs.requireNoneLost()
    }
    try store.refs.readAll(
      onDamage: isTolerant ? { unreadable.append(($0, $1.reason)) } : nil
    ) { committed in
      let image = try ImageName(committed.snapshot.image)
      for component in committed.snapshot.components {
        component.entry.forEachReference { roots.append(($0, names.count)) }
      }
      names.append(SnapshotName(image: image, number: committed.number))
      sizes.append(try store.refs.sizeBytes(image, committed.number))
    }
    try walk.run(store, roots, progress)
    try walk.addBases(store.index)
    let usages = walk.usages
    let survey = try PackUsage(store.index) { usages[prefixKey($0, $1)] ?? PackUsage.unused }
    var setBytes = [UInt64](repeating: 0, count: walk.sets.count)
    var setPacks = [[Int]](repeating: [], count: walk.sets.count)
    for (i, pack) in survey.packs.enumerated() {
      for frame in pack.frames {
        for share in frame.shares {
          let set = Int(share.usage)
          setBytes[set] += PackUsage.storedBytes(of: share, in: frame)
          if setPacks[set].last != i { setPacks[set].append(i) }
        }
      }
    }
    snapshots = names
    (self.unreadable, self.lost) = (unreadable, lost)
    let isComplete = unreadable.isEmpty && lost.isEmpty
    members = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    self.sizes = sizes
    sets = walk.sets
    (self.survey, self.usages, self.store, self.setBytes) = (survey, usages, store, setBytes)
    self.setPacks = setPacks
    setsInUse = setBytes.indices.filter { $0 > 0 && setBytes[$0] > 0 }
    memberBytes = walk.sets.sums(of: setBytes, in: setsInUse, members: names.count)
    packCount = survey.packs.count
    packBytes = survey.packs.reduce(0) { $0 + $1.sizeBytes }
    refBytes = sizes.reduce(0, +)
    deadBytes = isComplete ? setBytes[Int(PackUsage.unused)] : 0
    collectableBytes = 0
    if !isComplete { return }
    collectableBytes = try freedBytes(survey.packs.indices) { _ in false }
  }

  /// Returns the disk use of some snapshots together. Names that do not exist are ignored.
  /// - Throws: `StoreError` if a pack cannot be read.
  public func use(of names: some Sequence<SnapshotName>) throws -> Use {
    let members = Set(names).compactMap { self.members[$0] }
    var use = Use()
    for member in members { use.freedBytes += sizes[member] }
    var packs: Set<Int> = []
    let isRemoved: @Sendable (PackUsage.Usage) -> Bool
    if members.count == 1 {
      var sets = sets
      let set = sets.single(members[0])
      use.reachedBytes = memberBytes[members[0]]
      // A snapshot without files has no set.
      if Int(set) < setBytes.count {
        use.uniqueBytes = setBytes[Int(set)]
        packs = Set(setPacks[Int(set)])
      }
      isRemoved = { $0 == set }
    } else {
      let target = union(of: members)
      var removed = [Bool](repeating: false, count: sets.count)
      for set in setsInUse where target.sets.intersects(set, target.set) {
        use.reachedBytes += setBytes[set]
        guard target.sets.isSubset(set, of: target.set) else { continue }
        removed[set] = true
        use.uniqueBytes += setBytes[set]
        packs.formUnion(setPacks[set])
      }
      isRemoved = { [removed] in removed[Int($0)] }
    }
    // Objects of unreadable snapshots stay, so `gc` refuses.
    if !isComplete {
      use.freedBytes = 0
      return use
    }
    let now = collectableBytes == 0 ? 0 : try freedBytes(packs) { _ in false }
    let then = try freedBytes(packs, isRemoved)
    use.freedBytes += then - min(then, now)
    return use
  }

  /// Returns the set of some snapshots, and all sets with it.
  private func union(of members: [Int]) -> (sets: InternedSnapshotSets, set: UInt32) {
    var sets = sets
    let set = sets.set(of: members)
    return (sets, set)
  }

  /// Returns the bytes of the objects that some snapshots need together. Names that do not exist are ignored.
  public func reachedBytes(of names: some Sequence<SnapshotName>) -> UInt64 {
    let target = union(of: names.compactMap { self.members[$0] })
    return setsInUse.reduce(0) { bytes, set in
      target.sets.intersects(set, target.set) ? bytes + setBytes[set] : bytes
    }
  }

  /// Returns the bytes that a collection of these packs frees if some sets of snapshots do not exist.
  private func freedBytes(
    _ packs: some Sequence<Int>, _ isRemoved: @escaping @Sendable (PackUsage.Usage) -> Bool
  ) throws -> UInt64 {
    @Sendable func isNeeded(_ usage: PackUsage.Usage) -> Bool { !isRemoved(usage) }
    let plan = CollectionPlan(survey, packs, .sparing, isNeeded: isNeeded, level: { _ in 0 })
    var leftoverBytes: UInt64 = 0
    for pack in packs.lazy.map({ self.survey.packs[$0] }) where pack.isDoomed {
      if survey.action(for: pack, isNeeded) == .delete { leftoverBytes += pack.sizeBytes }
    }
    let (usages, duplicated) = (usages, survey.duplicated)
    let rewriter = PackRewriter(
      store: store, encoding: .sparing, order: nil,
      isNeeded: { kind, id in
        guard let usage = usages[prefixKey(kind, id)], usage != PackUsage.unused else {
          return false
        }
        return isNeeded(usage)
      }, hasCopies: { duplicated.contains(prefixKey($0, $1)) }, progress: Progress())
    return leftoverBytes + UInt64(max(0, try plan.freedBytes(rewriter)))
  }
}

extension ObjectStore {
  /// Computes the disk use of the store. Other commands may run concurrently.
  /// - Parameter isTolerant: leaves out snapshots whose refs cannot be read, instead of failing as `gc` does.
  /// - Throws: `damaged` if a ref or a directory cannot be read; `StoreError` of other kinds.
  public func diskUse(isTolerant: Bool = false, progress: Progress) throws -> DiskUse {
    try DiskUse(self, isTolerant: isTolerant, progress: progress)
  }
}

/// Determines the set of snapshots that reach each object.
private struct UsageWalk {
  private(set) var sets = InternedSnapshotSets()
  private(set) var usages = PrefixMap()
  /// Directories and blobs with recipes, children before parents.
  private var nodes: [ObjectReference] = []
  private var positions: [ObjectReference: Int] = [:]
  private var nodeUsages: [UInt32] = []

  mutating func run(
    _ store: ObjectStore, _ roots: [(ObjectReference, Int)], _ progress: Progress
  ) throws {
    let reader = try ReferenceReader(store)
    usages = PrefixMap(capacity: try store.totals().objects)
    // Tens of thousands of directories are looked up.
    try store.withReadTransaction { try run(reader, roots, progress) }
  }

  private mutating func run(
    _ reader: ReferenceReader, _ roots: [(ObjectReference, Int)], _ progress: Progress
  ) throws {
    for (root, _) in roots { try list(root, reader, progress) }
    nodeUsages = Array(repeating: PackUsage.unused, count: nodes.count)
    for (root, member) in roots { try addUsage(root, sets.single(member), reader) }
    for position in nodes.indices.reversed() {
      let usage = nodeUsages[position]
      var needs: [ObjectReference] = []
      var own: [UInt64] = []
      try reader.expand(nodes[position]) {
        own.append(prefixKey($0, $1))
      } needs: {
        needs.append($0)
      }
      for key in own { addUsage(key, usage) }
      for need in needs { try addUsage(need, usage, reader) }
    }
  }

  /// Gives the chunks of each frame's base the users of the objects in the frame, as `Reachability` does.
  mutating func addBases(_ index: Index) throws {
    let frames = try index.framesWithBases()
    var isChanging = true
    while isChanging {
      isChanging = false
      for address in frames {
        // `gc` refuses if it cannot read a directory.
        guard let frame = try? index.directory(of: address), let base = frame.base else { continue }
        let usage = frame.objects.reduce(PackUsage.unused) { usage, object in
          sets.union(usage, usages[prefixKey(object.kind, object.id)] ?? PackUsage.unused)
        }
        if usage == PackUsage.unused { continue }
        for chunk in base.chunks {
          let key = prefixKey(.chunk, chunk.id)
          let before = usages[key] ?? PackUsage.unused
          let after = sets.union(before, usage)
          if after == before { continue }
          usages.set(key, after)
          isChanging = true
        }
      }
    }
  }

  private func isNode(_ reference: ObjectReference, _ reader: ReferenceReader) -> Bool {
    switch reference {
    case .object: false
    case .directory: true
    case .blob(let blob): reader.mayHaveRecipe(blob)
    }
  }

  private mutating func list(
    _ root: ObjectReference, _ reader: ReferenceReader, _ progress: Progress
  ) throws {
    var pending: [(reference: ObjectReference, isDone: Bool)] = [(root, false)]
    while let (next, isDone) = pending.popLast() {
      if isDone {
        positions[next] = nodes.count
        nodes.append(next)
        continue
      }
      guard isNode(next, reader), positions[next] == nil else { continue }
      progress.add(items: 1)
      // -1 marks a node that is being visited, until it has its position.
      positions[next] = -1
      pending.append((next, true))
      try reader.expand(next) { _, _ in
      } needs: { need in
        if isNode(need, reader), positions[need] == nil { pending.append((need, false)) }
      }
    }
  }

  private mutating func addUsage(_ key: UInt64, _ usage: UInt32) {
    usages.set(key, sets.union(usages[key] ?? PackUsage.unused, usage))
  }

  private mutating func addUsage(
    _ reference: ObjectReference, _ usage: UInt32, _ reader: ReferenceReader
  ) throws {
    if let position = positions[reference] {
      nodeUsages[position] = sets.union(nodeUsages[position], usage)
      return
    }
    var own: [UInt64] = []
    try reader.expand(reference) {
      own.append(prefixKey($0, $1))
    } needs: { _ in
    }
    for key in own { addUsage(key, usage) }
  }
}
