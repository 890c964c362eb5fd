// imgstore verify, reindex.

import Store

extension Workspace {
  public func verify(deep: Bool) throws -> VerifyReport { try verify(VerifyRequest(deep: deep)) }

  /// Checks the store, and that the snapshots which changes under way need are there.
  public func verify(_ request: VerifyRequest) throws -> VerifyReport {
    let store = try store()
    var report = try store.verify(request, progress: progress)
    report.problems += try journalProblems()
    return report
  }

  /// What is wrong with the journals of changes under way.
  func journalProblems() throws -> [VerifyReport.Problem] {
    let store = try store()
    var problems: [VerifyReport.Problem] = []
    for image in try store.journals.images() {
      do {
        guard let journal = try journal(of: image) else { continue }
        // An import's journal is written before the ref of its target.
        let needed = [journal.before, journal.operation == .revert ? journal.target : nil]
        for id in needed.compactMap(\.self) where try snapshot(id, of: image) == nil {
          problems.append(
            VerifyReport.Problem(
              object: "the journal of \(image)",
              finding: "needs snapshot \(id.shortHex), which has no ref"))
        }
      } catch let error as StoreError where error.kind == .damaged {
        problems.append(
          VerifyReport.Problem(object: error.object, finding: error.finding))
      }
    }
    return problems
  }

  /// Makes the index anew from the packs.
  public func reindex() throws -> (packs: Int, objects: Int, storedBytes: UInt64) {
    let store = try store()
    try store.reindex()
    return try store.totals()
  }
}
