// The reports of `gc` and `optimize`.

import Store

func describe(_ outcome: CollectionOutcome) {
  if outcome.temporaryBytes > 0 {
    print("removed \(sizeText(outcome.temporaryBytes)) of unfinished files that nobody works on")
  }
  if outcome.leftBytes > 0, !outcome.lackedSpace {
    print("left \(sizeText(outcome.leftBytes)) of dead bytes for another run")
  }
  if outcome.waitingBytes > 0 {
    let who =
      outcome.waitsFor.isEmpty ? "earlier commands" : outcome.waitsFor.joined(separator: ", ")
    print(
      "\(sizeText(outcome.waitingBytes)) can go when these have ended: \(who); the next gc does it")
  }
}

func finish(_ outcome: CollectionOutcome) throws {
  var problems = outcome.damaged.map { "pack \($0.pack.prefix(12)): \($0.finding)" }
  if !problems.isEmpty {
    problems.append(
      "Damaged packs stay as they are; 'imgstore verify --deep' says what is affected, and "
        + "'imgstore repair' moves what is left of them to new packs.")
  }
  if outcome.lackedSpace {
    problems.append(
      "The disk is too full to rewrite packs: \(sizeText(outcome.leftBytes)) of dead bytes stay. "
        + "Make room and run it again.")
  }
  if !problems.isEmpty {
    throw CompletedWithWarnings(lines: problems, isDamage: !outcome.damaged.isEmpty)
  }
}
