// imgstore verify, reindex: the checks of the store and of the journals, and the rebuild of the index.

import Store

extension Workspace {
  /// Checks the store; see `verify(_:)`.
  /// - Parameter deep: whether all packs are read.
  public func verify(deep: Bool) throws -> VerifyReport {
    try StoreVerifier(context).verify(VerifyRequest(deep: deep))
  }

  /// Checks the store, and that the snapshots exist that unfinished changes need.
  /// - Throws: `StoreError` if the store cannot be checked. Damage is in the report.
  public func verify(_ request: VerifyRequest) throws -> VerifyReport {
    try StoreVerifier(context).verify(request)
  }

  /// Rebuilds the index from the packs.
  public func reindex() throws -> IndexTotals {
    let store = try context.store()
    try store.reindex()
    let totals = try store.totals()
    return IndexTotals(
      packs: totals.packs, objects: totals.objects, storedBytes: totals.storedBytes)
  }
}

/// Verifies the store.
struct StoreVerifier: Collaborator {
  let context: Context

  func verify(_ request: VerifyRequest) throws -> VerifyReport {
    let store = try context.store()
    var request = request
    request.clock = context.options.clock
    var report = try store.verify(request, progress: context.progress)
    report.problems += try journalProblems()
    let (time, count) = (context.now().seconds, report.problems.count)
    store.updateMaintenanceRecord { ($0.verified, $0.problems) = (time, count) }
    return report
  }

  /// Returns the problems with the journals of unfinished changes.
  func journalProblems() throws -> [VerifyReport.Problem] {
    let store = try context.store()
    var problems: [VerifyReport.Problem] = []
    for image in try store.journals.images() {
      do {
        guard let journal = try ChangeJournal(context).journal(of: image) else { continue }
        // The journal of an import is written before the ref of its target.
        let needed = [journal.before, journal.operation == .revert ? journal.target : nil]
        for id in needed.compactMap(\.self)
        where try ChangeJournal(context).findSnapshot(id, of: image) == nil {
          problems.append(
            VerifyReport.Problem(
              object: "the journal of \(image)",
              reason: "needs snapshot \(id.shortHex), which has no ref"))
        }
      } catch let error as StoreError where error.kind == .damaged {
        problems.append(
          VerifyReport.Problem(object: error.subject, reason: error.reason))
      }
    }
    return problems
  }
}
