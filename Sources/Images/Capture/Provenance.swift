// The provenance of snapshots: the keys on disk, and the facts that commands derive from them
// (docs/format.md#provenance-and-facts). Behaviour depends on these facts, never on a snapshot's message.

import Codec
import Store

/// The command that took a snapshot, as provenance and journals name it.
public struct RecordedCommand: Hashable, Sendable {
  /// The name on disk.
  public let text: String
  public init(_ text: String) { self.text = text }

  public static let snapshot = RecordedCommand("snapshot")
  public static let revert = RecordedCommand("revert")
  public static let undo = RecordedCommand("undo")
  public static let resume = RecordedCommand("resume")
  /// A `resume` that restored the state before the change.
  public static let rollback = RecordedCommand("resume --back")
  public static let importing = RecordedCommand("import")
  public static let export = RecordedCommand("export")
  public static let copy = RecordedCommand("copy")
  public static let pack = RecordedCommand("pack")
  public static let lite = RecordedCommand("lite")
  public static let secrets = RecordedCommand("secrets")
  public static let run = RecordedCommand("run")
}

/// What a new snapshot says about its origin.
struct SnapshotLabel {
  /// A change of the live image.
  struct Change {
    /// The id of the snapshot with the state before; nil if none was kept.
    let before: Digest?
  }

  let command: RecordedCommand
  var message: String
  /// The change that the snapshot records, so that `undo` finds it; nil if the live image was not changed.
  private(set) var change: Change?

  init(_ command: RecordedCommand, _ message: String) {
    self.command = command
    self.message = message
  }

  /// Returns the label of the snapshot that records the change.
  func recording(before: Digest?) -> SnapshotLabel {
    var label = self
    label.change = Change(before: before)
    return label
  }
}

/// A key of provenance. The raw values are on disk.
enum ProvenanceKey: String {
  case host, user, command, tool
  /// The snapshot of the state before a change, in hexadecimal.
  case before
  /// Marks a change without a safety snapshot.
  case safety
  /// The restored parts, if a revert did not restore the whole image.
  case parts
  /// The first source of a copied image's tree.
  case origin
}

extension Context {
  /// Returns the provenance of a new snapshot.
  func provenance(_ label: SnapshotLabel) -> [Snapshot.Fact] {
    guard let change = label.change else { return provenance(label.command) }
    return provenance(label.command, before: change.before)
      + (change.before == nil ? [.noSafety] : [])
  }
}

extension Snapshot.Fact {
  init(_ key: ProvenanceKey, _ value: String) { self.init(key.rawValue, value) }

  /// Marks a change whose state before was not kept.
  static let noSafety = Snapshot.Fact(.safety, "none")
  /// Marks the first snapshot of a copy of an imported image.
  static let importOrigin = Snapshot.Fact(.origin, "import")
}

extension Snapshot {
  /// Returns the first value of a key; nil if provenance lacks it.
  func provenance(_ key: ProvenanceKey) -> String? {
    provenance.first { $0.key == key.rawValue }?.value
  }

  /// The command that took the snapshot; nil if provenance names none.
  var command: RecordedCommand? { provenance(.command).map(RecordedCommand.init) }

  /// The id of the snapshot of the state before the change; nil if this snapshot records no change.
  var before: Digest? { provenance(.before).flatMap { Digest(hex: $0) } }

  /// Whether the snapshot records a change whose state before was not kept.
  var hasKeptNothing: Bool { provenance.contains(.noSafety) }

  /// Whether the snapshot records a revert of parts of the image.
  var recordsParts: Bool { provenance(.parts) != nil }

  /// Whether the image, or the one that it was copied from, came with a bundle at this snapshot.
  var recordsImport: Bool { command == .importing || provenance.contains(.importOrigin) }

  /// Whether the snapshot records that a command restored the state before a change.
  var restoresStateBefore: Bool { command == .undo || command == .rollback }
}
