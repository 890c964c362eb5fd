// The packs on disk, as the index sees them: one state of packs/ and doomed/ under locks/index.

import Codec
import Platform

/// Lists the packs on disk.
struct PackListing {
  /// The packs in packs/, in the order of their names.
  let kept: [Digest]
  /// The packs in doomed/ only, in the order of their names.
  let doomed: [Digest]

  /// Returns all packs in the order of their names, each with the information whether it is doomed.
  var inOrder: [(name: Digest, isDoomed: Bool)] {
    let kept = kept.map { (name: $0, isDoomed: false) }
    if doomed.isEmpty { return kept }
    return (kept + doomed.map { ($0, true) }).sorted { $0.name < $1.name }
  }
}

extension Index {
  /// Returns the packs on disk as one state.
  func packs() throws(StoreError) -> PackListing {
    let shared = try lock(exclusive: false)
    defer { withExtendedLifetime(shared) {} }
    return try listing()
  }

  /// Reads the names in packs/ and doomed/. The caller holds the lock.
  func listing() throws(StoreError) -> PackListing {
    func names(_ directory: Descriptor) throws(SystemError) -> [Digest] {
      try layout.fileSystem.names(of: directory.raw).compactMap(Layout.packName).sorted()
    }
    return try mapSystemErrors("the directories packs/ and doomed/") { () throws(SystemError) in
      let kept = try names(layout.packs)
      let doomed = try names(layout.doomed)
      if doomed.isEmpty { return PackListing(kept: kept, doomed: []) }
      let isKept = Set(kept)
      return PackListing(kept: kept, doomed: doomed.filter { !isKept.contains($0) })
    }
  }

  /// Returns the packs that are in doomed/ only. The caller holds the lock.
  /// - Throws: `missing` if a pack is in neither directory, because no snapshot may depend on it.
  func doomed(of packs: [FinishedPack]) throws(StoreError) -> [Digest] {
    func isIn(_ directory: Descriptor, _ pack: Digest) throws(StoreError) -> Bool {
      try mapSystemErrors("pack \(pack.shortHex)") { () throws(SystemError) in
        try layout.fileSystem.statIfPresent(at: directory.raw, Array(pack.hex.utf8)) != nil
      }
    }
    var doomed: [Digest] = []
    for pack in packs.map(\.name) {
      if try isIn(layout.packs, pack) { continue }
      guard try isIn(layout.doomed, pack) else {
        throw StoreError(
          .missing, "pack \(pack.shortHex)",
          "disappeared after it was written: another program is deleting files in packs/",
          hint: "Stop that program. Then run 'imgstore verify', and the command again")
      }
      doomed.append(pack)
    }
    return doomed
  }

  /// Returns the rows of a pack, from its readable frames.
  func scan(_ name: Digest) throws(StoreError) -> FinishedPack {
    try reader.scanReadable(name).pack
  }
}
