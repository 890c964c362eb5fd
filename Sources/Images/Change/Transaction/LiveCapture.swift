// Captures of the live image before and after a change: as the base of its plan, and to verify its result.
// The objects of a capture stay in memory. They are also stored if a snapshot may need them.

import Apply
import Ingest
import Store
import XCAT

/// A capture of the live image, made to compare it with a target.
struct LiveCapture {
  let live: LiveImage
  /// The objects of the live trees.
  let source: any ObjectSource
  /// The session that protects the captured objects from garbage collection until a snapshot references
  /// them. Its packs are being written until `flush` returns. Nil if nothing was stored.
  let session: WriteSession?

  var state: ImageState { live.state(from: source) }

  /// Waits until all captured objects are in the store. A snapshot may reference them afterwards.
  func flush() throws { try session?.finish() }

  /// Runs `body` while the captured objects are being written, then waits for the writes, even if `body`
  /// throws. `body` may read only the captured trees.
  func whileFlushing<R>(_ body: () throws -> R) throws -> R {
    let result = Result { try body() }
    let flushed = Result { try flush() }
    let value = try result.get()
    try flushed.get()
    return value
  }

  /// Returns the changes of table rows that lead to the target.
  func rowChanges(of image: ImageName, to target: CommittedSnapshot) -> [RowChange] {
    target.snapshot.definition.rowChanges(of: image.text, from: live.definition)
      + live.rows.changes(to: target.snapshot.keptRows)
  }

  /// Returns the changes of the definition and the rows that lead to the target.
  func attributeChanges(to target: CommittedSnapshot) -> [AttributeChange] {
    Images.attributeChanges(
      live.definition, live.rows, target.snapshot.definition, target.snapshot.keptRows)
  }
}

/// Captures live images for a comparison with a target.
struct LiveStateCapturer: Collaborator {
  let context: Context

  /// Captures the live image: the paths of its definition and those of a target.
  /// - Parameters:
  ///   - storing: whether the captured objects are stored, for a snapshot that will reference them.
  ///   - verifiedFiles: the files that were written just now. They are not read again unless
  ///     their attributes have changed.
  ///   - journal: the change that is being resumed. Its leftovers inside trees are captured as entries, so
  ///     that the plan removes them.
  ///   - known: an earlier capture of a tree that is not walked again.
  func captureLiveState(
    of image: ImageName, _ target: CommittedSnapshot, storing: Bool,
    verifiedFiles: VerifiedFiles = VerifiedFiles(), resuming journal: Journal? = nil,
    known: CaptureResult? = nil
  ) throws -> LiveCapture {
    let store = try context.store()
    let definition = try context.tables().definition(of: image.text) ?? ImageDefinition()
    let session = storing ? try store.beginSession() : nil
    let memory = MemoryObjects(over: store)
    // A safety snapshot also covers the paths that only the latest snapshot names.
    let latest = storing ? try store.refs.latestReadable(of: image) : nil
    var scope = CaptureScope(
      definition, additional: target.snapshot.requests + target.snapshot.absentPathRequests,
      rows: target.snapshot.keptRows.keys)
    (scope.target, scope.change, scope.verifiedFiles) = (target.snapshot, [], verifiedFiles)
    scope.known = known
    scope.leftovers = journal.map { TemporaryName.prefix($0.token) }
    let live = try ImageCapturer(context).captureLive(
      image, scope, latest: latest ?? target,
      into: session.map { .store($0, keeping: memory) } ?? .memory(memory))
    session?.beginFinish()
    return LiveCapture(live: live, source: memory, session: session)
  }

  /// Returns whether nodes use the tree as their root file system, as with statelite images.
  func isServed(_ current: LiveCapture, _ target: CommittedSnapshot) -> Bool {
    [current.live.definition, target.snapshot.definition].contains {
      $0.provisioning == .statelite
    }
  }
}
