// The live image, captured to be compared with a target.

import Apply
import Ingest
import Store
import XCAT

extension Workspace {
  /// The live image, beside a target.
  struct LiveCapture {
    let live: LiveImage
    /// Has the live trees' objects.
    let source: any ObjectSource
    /// Keeps what was captured from garbage collection until it belongs to a snapshot. Its packs are on
    /// their way to the disk until `settle` returns.
    let session: WriteSession?

    var state: ImageState { live.state(from: source) }

    /// What was captured is in the store when this returns: from then on a snapshot may have it.
    func settle() throws { try session?.finish() }

    /// Runs `body`, which needs no more of what was captured than its trees, while that is on its way to the
    /// disk; and settles, whether `body` throws or not.
    func whileFlushing<R>(_ body: () throws -> R) throws -> R {
      let result = Result { try body() }
      let settled = Result { try settle() }
      let made = try result.get()
      try settled.get()
      return made
    }

    /// What a change to the target does to definition and rows.
    func attributeChanges(to target: CommittedSnapshot) -> [AttributeChange] {
      Images.attributeChanges(
        live.definition, live.rows, target.snapshot.definition, target.snapshot.keptRows)
    }
  }

  /// Captures the live image, as far as a target says what it is.
  /// - Parameters:
  ///   - storing: what is live goes into the store, to be kept by a snapshot.
  ///   - verifiedFiles: files that were written just now.
  ///   - journal: a change that is resumed: what it left over inside trees counts as part of them, so
  ///     that the plan removes it.
  func look(
    at image: ImageName, _ target: CommittedSnapshot, storing: Bool,
    verifiedFiles: [[UInt8]: VerifiedFile] = [:], resuming journal: Journal? = nil
  ) throws -> LiveCapture {
    let store = try store()
    let definition = try tables().definition(of: image.text) ?? ImageDefinition()
    let session = storing ? try store.beginSession() : nil
    let memory = MemoryObjects(over: store)
    // A safety snapshot holds also what only the latest snapshot knows of.
    let latest = storing ? try store.refs.latestReadable(of: image) : nil
    let live = try captureLive(
      image, definition, latest: latest ?? target, target: target.snapshot, change: [],
      also: target.snapshot.requests + target.snapshot.absentPathRequests,
      rows: target.snapshot.keptRows.keys, verifiedFiles: verifiedFiles,
      leftovers: journal.map { Journal.prefix($0.token) },
      into: session.map { .store($0, keeping: memory) } ?? .memory(memory))
    session?.beginFinish()
    return LiveCapture(live: live, source: memory, session: session)
  }

  /// A statelite image's tree is its nodes' root.
  func isServed(_ sight: LiveCapture, _ target: CommittedSnapshot) -> Bool {
    [sight.live.definition, target.snapshot.definition].contains { $0.provisioning == "statelite" }
  }
}
