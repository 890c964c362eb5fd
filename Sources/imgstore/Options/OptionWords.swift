// Options of git and restic that imgstore does not have, each answered with what does the task here.

/// Answers to options of other programs.
enum OptionWords {
  /// Returns the answer to the first foreign option of a command; nil if it has none.
  static func answer(_ words: [String], for command: String) -> String? {
    guard let answers = answers[command] else { return nil }
    for word in words.prefix(while: { $0 != "--" }) where word.hasPrefix("-") {
      let name = String(word.prefix { $0 != "=" })
      // git spells the number of context lines as -U3.
      let kind = name.hasPrefix("-U") ? "-U" : name.hasPrefix("--keep-") ? "--keep-" : name
      if let answer = answers[name] ?? answers[kind] {
        return "'imgstore \(command)' has no option \(name). \(answer)."
      }
    }
    return nil
  }

  private static let answers: [String: [String: String]] = {
    let script =
      "For scripts, use --json, or -q for the exit code alone: 7 if there are differences"
    let text =
      "'imgstore diff REF -p' prints the text of changed files, and 'diff REF -u PATH' that of one file"
    let compare = "'imgstore diff IMAGE@1 IMAGE@2' compares two snapshots"
    let image = "Rules work per image: name the images, or give --all"
    let rules =
      "'imgstore forget' has the retention rules; with --prune, it also frees the space"
    return [
      "status": ["-s": script, "--short": script, "--porcelain": script],
      "diff": [
        "--name-status": "The output has the letter of each change already", "-U": text,
        "--text": text, "-a": text,
      ],
      "log": [
        "--oneline": "The output has one line per snapshot already", "-p": compare,
        "--patch": compare, "--stat": compare,
      ],
      "forget": [
        "--keep-tag": "--keep-tagged keeps all tagged snapshots, and 'imgstore pin' protects one",
        "--group-by": image, "--host": image,
        "--tag": "'imgstore remove IMAGE@TAG' removes one snapshot",
      ],
      "gc": ["--keep-": rules], "prune": ["--keep-": rules],
      "tag": [
        "-d": "'imgstore untag IMAGE@TAG' removes a tag",
        "--delete": "'imgstore untag IMAGE@TAG' removes a tag",
        "-l": "'imgstore tags' lists tags", "--list": "'imgstore tags' lists tags",
      ],
    ]
  }()
}
