// Other stores as sources of records: where snapshots were pulled from, and which packed image has which snapshot.
//
// 1. A snapshot without a record of its origin counts as one of this machine, and `revert` trusts it. So the record is
//    written before a restored ref, and also for refs that have lost theirs.
// 2. A record is copied only if the snapshot is the same in both stores. A record that exists here is never replaced.

import Platform

struct RecordRestoration: RepairPart {
  let context: RepairContext

  /// Copies the origin of a snapshot that is about to be restored.
  func restoreOrigin(of name: SnapshotName, from other: ObjectStore) throws {
    guard store.origins.read(name) == nil, let record = other.origins.read(name) else { return }
    try mapSystemErrors("the origin of \(name)") { () throws(SystemError) in
      try store.origins.prepare(record, of: name)
    }
  }

  /// Copies the records that this store lacks.
  func restoreRecords(from other: ObjectStore, _ source: String) throws {
    for image in try store.refs.images() {
      let missing = try store.refs.numbers(of: image).map { SnapshotName(image: image, number: $0) }
        .filter {
          store.origins.read($0) == nil && other.origins.read($0) != nil
            && isSame($0, in: other)
        }
      if missing.isEmpty { continue }
      let lock = isDryRun ? nil : try lockImage(image)
      defer { withExtendedLifetime(lock) {} }
      for name in missing {
        note("the origin of \(name)", isDryRun ? "is in \(source)" : "was restored from \(source)")
        if !isDryRun { try restoreOrigin(of: name, from: other) }
      }
    }
    for record in try other.builds.all()
    where store.builds.read(record.uuid) == nil && isSame(record.snapshot, in: other) {
      note(
        "the record of packed image \(record.uuid)",
        isDryRun ? "is in \(source)" : "was restored from \(source)")
      if !isDryRun { try store.builds.write(record) }
    }
  }

  /// Returns whether both stores have the snapshot.
  private func isSame(_ name: SnapshotName, in other: ObjectStore) -> Bool {
    guard let here = try? store.refs.read(name.image, name.number),
      let there = try? other.refs.read(name.image, name.number)
    else { return false }
    return here.id == there.id
  }
}
