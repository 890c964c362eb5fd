// Rearranges the words of a command line before they are parsed: options may precede the command, as with
// git, restic and docker. The names of other programs' commands are answered with the matching command of
// imgstore.

import Images

/// A message for a command line that is not parsed further.
struct UsageMessage: Error {
  let text: String
}

/// Arranges words for the parser.
struct ArgumentNormalizer {
  /// The names of all commands, with their aliases.
  let known: Set<String>

  /// The common options that take a value.
  private static let valued: Set<String> = ["--store", "--root", "--xcat-dir", "--wait"]
  private static let flags: Set<String> = [
    "-q", "--quiet", "--trust-store", "--no-wait", "--no-progress", "--json",
  ]
  /// restic's names of the option --store.
  static let otherNames = ["-r": "--store", "--repo": "--store"]
  /// The commands that have subcommands.
  private static let groups: Set<String> = ["config", "hooks", "key", "remote"]

  /// Returns the words with the common options moved behind the command.
  /// - Throws: `UsageMessage` if the first word does not name a command.
  func normalized(_ words: [String]) throws(UsageMessage) -> [String] {
    var rest = words[...]
    var options: [String] = []
    while let word = rest.first, word.hasPrefix("-") {
      let name = String(word.prefix { $0 != "=" })
      let option = ArgumentNormalizer.otherNames[name] ?? name
      if ArgumentNormalizer.valued.contains(option) {
        rest.removeFirst()
        options.append(option + word.dropFirst(name.count))
        if !word.contains("="), let value = rest.popFirst() { options.append(value) }
      } else if ArgumentNormalizer.flags.contains(word) {
        rest.removeFirst()
        options.append(word)
      } else {
        break
      }
    }
    guard let command = rest.popFirst() else { return options }
    switch command {
    case "-v", "-V", "version": return ["--version"]
    // The parser's own scripts cannot complete the names of images.
    case "--generate-completion-script": return ["completion"] + rest
    case "help" where rest.first == "--all" || rest.first == "-a": return ["--help"]
    case "help":
      if let word = rest.first, !word.hasPrefix("-"), !known.contains(word) { throw unknown(word) }
    case "ls"
    where rest.allSatisfy({ $0.hasPrefix("-") }) && !rest.contains("--help") && !rest.contains("-h"):
      throw UsageMessage(
        text: "'imgstore ls' needs a snapshot. 'imgstore images' lists images, "
          + "'imgstore ls REF:PATH' lists a directory of a snapshot.")
    default: break
    }
    if !command.hasPrefix("-"), !known.contains(command) { throw unknown(command) }
    if let answer = OptionWords.answer(Array(rest), for: command) {
      throw UsageMessage(text: answer)
    }
    var result = [command]
    if ArgumentNormalizer.groups.contains(command), let inner = rest.first, !inner.hasPrefix("-") {
      result.append(inner)
      rest.removeFirst()
    }
    return result + options
      + ArgumentNormalizer.withStore(
        ArgumentNormalizer.translated(Array(rest), for: command), for: command)
  }

  /// Returns the words with options of find(1), ls(1), du(1), git and restic in our spelling.
  private static func translated(_ words: [String], for command: String) -> [String] {
    switch command {
    case "find":
      return words.enumerated().map { i, word in
        if i > 0, words[i - 1] == "-size", word.hasPrefix("+") { return String(word.dropFirst()) }
        return ["-name": "--name", "-type": "--type", "-size": "--larger"][word] ?? word
      }
    case "ls", "du":
      // Sizes are human-readable anyway. "ls -h" without another word asks for help.
      guard words.count > 1 || command == "du" else { return words }
      return words.compactMap { word in
        guard word.hasPrefix("-"), !word.hasPrefix("--"), word.contains("h") else { return word }
        let rest = word.filter { $0 != "h" }
        return rest == "-" ? nil : rest
      }
    case "log":
      // git spells a limit as -5 or -n5.
      return words.flatMap { word -> [String] in
        let number = word.hasPrefix("-n") ? word.dropFirst(2) : word.dropFirst()
        guard word.hasPrefix("-"), !number.isEmpty, number.allSatisfy(\.isNumber) else {
          return [word]
        }
        return ["--limit", String(number)]
      }
    case "restore", "extract":
      // restic spells the destination as -t or --target.
      return words.map { word in
        let name = String(word.prefix { $0 != "=" })
        return ["-t", "--target"].contains(name) ? "--output" + word.dropFirst(name.count) : word
      }
    case "verify", "check", "fsck": return words.map { $0 == "--read-data" ? "--deep" : $0 }
    default: return words
    }
  }

  /// The commands whose namesakes in other programs have an option -r with another meaning.
  private static let commandsWithOtherR: Set<String> = [
    "cp", "delete", "grep", "ls", "remove", "rm", "snapshot",
  ]

  /// Returns the words with restic's names of the option --store in our spelling.
  private static func withStore(_ words: [String], for command: String) -> [String] {
    // After "--", all words are operands.
    let end = words.firstIndex(of: "--") ?? words.endIndex
    return words[..<end].map { word in
      let name = String(word.prefix { $0 != "=" })
      if name == "-r", commandsWithOtherR.contains(command) { return word }
      return otherNames[name].map { $0 + word.dropFirst(name.count) } ?? word
    } + words[end...]
  }

  private func unknown(_ command: String) -> UsageMessage {
    if let answer = ArgumentNormalizer.answers[command] {
      return UsageMessage(
        text: "'\(printable(command.utf8))' is not an imgstore command. \(answer).")
    }
    let near = Spelling.near(command, known).prefix(3).map { "'\($0)'" }
    return UsageMessage(
      text: "'\(printable(command.utf8))' is not an imgstore command. "
        + (near.isEmpty ? "" : "Did you mean \(near.joined(separator: " or "))? ")
        + "'imgstore help --all' lists all commands.")
  }

  /// Commands of git, restic, borg, docker and xCAT, each with the imgstore command for the same task.
  private static let answers = otherTools.merging(XCATCommandHints.answers) { $1 }

  private static let otherTools: [String: String] = {
    let snapshot = "'imgstore snapshot IMAGE -m MESSAGE' takes a snapshot"
    let revert =
      "'imgstore revert REF' restores the live image to a snapshot, 'imgstore revert REF:PATH' a part of it"
    let send =
      "'imgstore export REF' writes a bundle, and 'imgstore import FILE' reads one, with -R HOST from another host"
    let push = "'imgstore push REMOTE REF' sends a snapshot to another store"
    let pull = "'imgstore pull REMOTE REF' fetches a snapshot from another store"
    return [
      "exclude":
        "'imgstore add NAME --exclude PATTERN' sets the patterns of an image, and a file .imgstoreignore at the top of its tree adds more",
      "backup": snapshot, "commit": snapshot, "create": snapshot,
      "stash": snapshot, "checkpoint": snapshot,
      "checkout": revert, "reset": revert, "rollback": revert, "switch": revert, "recover": revert,
      "save": send, "load": send, "fetch": pull, "send": push, "receive": pull, "mirror": push,
      "build":
        "Other tools build images: genimage, debootstrap, dnf --installroot; 'imgstore snapshot IMAGE' saves the result",
      "mount":
        "'imgstore restore REF DIR' writes a snapshot to a directory; 'ls', 'cat', 'find' and 'grep' look inside",
      "abort": "'imgstore resume --back' rolls back an interrupted change",
      "continue": "'imgstore resume' completes an interrupted change",
      "history": "'imgstore log IMAGE' lists snapshots",
      "snapshots": "'imgstore log IMAGE' lists snapshots, 'imgstore images' lists images",
      "info": "'imgstore show REF' shows a snapshot, 'imgstore stats' the store",
      "inspect": "'imgstore show REF' shows a snapshot",
      "dump": "'imgstore cat REF:PATH' prints a file",
      "annotate": "'imgstore blame IMAGE PATH' shows which snapshot last changed a file",
      "unlock": "Locks end with their processes, so there is nothing to unlock",
      "break-lock": "Locks end with their processes, so there is nothing to unlock",
      "compact": "'imgstore gc' frees space, 'imgstore optimize' compresses better",
      "rebuild-index": "'imgstore reindex' rebuilds the index",
      "branch":
        "'imgstore copy REF NAME' creates another image; 'imgstore tag REF NAME' names a snapshot",
      "completions": "'imgstore completion bash' (zsh, fish) prints a completion script",
      "rename": "'imgstore copy REF NAME' creates an image with another name",
      "mv": "'imgstore copy REF NAME' creates an image with another name",
    ]
  }()
}
