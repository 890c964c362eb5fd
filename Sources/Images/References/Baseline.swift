// The snapshot that an image's name alone means for `diff` and `revert`: what a person would call the last known state.
//
// Commands take snapshots of their own: before a change, before packing, for an export. They hold whatever was live,
// a bad update too, so comparing with one of them would hide the update, and reverting to it would restore it.
// 1. A snapshot that a person took, imported or copied is a baseline. So is the record of a revert of the whole
//    image: a person chose that state.
// 2. The record of a revert of parts is none: the other files were as they happened to be.
// 3. The record of an undo has the state before the change: the baseline is that of that state.

import Platform
import Store

extension Workspace {
  /// Returns the snapshot that a reference means for `diff` and `revert`.
  /// - Throws: `ImageError` where there is none, or more than one.
  func findBaseline(_ reference: Reference) throws -> CommittedSnapshot {
    let latest = try find(reference)
    guard reference.selector == .latest, latest.snapshot.origin.isAutomatic,
      try find(idOrName: reference.image) == nil
    else { return latest }
    guard let baseline = try baseline(from: latest), baseline.number != latest.number else {
      return latest
    }
    let later = "\(latest.name) is automatic"
    if saidNames.withLock({ $0.insert(later).inserted }) {
      mention("\(latest.snapshot.image) means \(baseline.name); \(later)")
    }
    return baseline
  }

  /// - Returns: nil where no snapshot was chosen by a person.
  private func baseline(from latest: CommittedSnapshot) throws -> CommittedSnapshot? {
    let refs = try store().refs
    let image = try ImageName(latest.snapshot.image)
    var numbers = try refs.numbers(of: image)[...]
    /// The state that an undo went back to, whose own record is looked for.
    var wanted: Snapshot?
    while let number = numbers.popLast() {
      guard let candidate = try refs.readIfPresent(image, number) else { continue }
      if let state = wanted {
        // The record of the undo, and the change that it took back, are passed over.
        guard candidate.snapshot.hasSameState(as: state), !candidate.snapshot.isUndo else {
          continue
        }
        wanted = nil
      }
      switch candidate.snapshot.origin {
      case .manual, .imported, .copied: return candidate
      case .safety: continue
      case .change:
        if candidate.snapshot.isUndo {
          wanted = candidate.snapshot
        } else if !candidate.snapshot.recordsParts {
          return candidate
        }
      }
    }
    return nil
  }
}

extension Snapshot {
  /// The parts of the image that the recorded revert brought back, where it was not the whole.
  static let partsKey = "parts"

  fileprivate var recordsParts: Bool { provenance.contains { $0.key == Snapshot.partsKey } }

  fileprivate var isUndo: Bool {
    provenance.contains { $0.key == "command" && ["undo", "resume --back"].contains($0.value) }
  }
}
