// The reports of `forget` and `remove`.

import Images
import Platform

func forgottenRow(_ gone: ForgottenSnapshot) -> [String] {
  [
    "forget", "\(gone.name)", gone.snapshot.map { timeText($0.snapshot.created) } ?? "unreadable",
    (gone.tags.map { "[\($0)]" } + [printable((gone.snapshot?.snapshot.message ?? "").utf8)])
      .filter { !$0.isEmpty }.joined(separator: " "),
  ]
}

func describe(_ outcome: ForgetOutcome) {
  let what = count(outcome.forgotten.count, "snapshot")
  guard outcome.isDryRun else {
    print(
      outcome.forgotten.isEmpty
        ? "nothing to forget" : "forgot \(what); 'imgstore gc' frees the space")
    return
  }
  var line = "would forget \(what)"
  if let freed = outcome.freedBytes { line += "; that and 'imgstore gc' free \(exactSize(freed))" }
  if let other = outcome.collectableBytes, other > 0 {
    line += ", besides \(exactSize(other)) that it frees anyway"
  }
  print(line)
}
