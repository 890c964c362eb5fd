// The environment and the words of a command that `run` starts.
//
// 1. In the tree, the command gets none of the caller's variables except TERM and those of --env: paths, proxies
//    and tokens of this machine have no meaning there, or do not belong there.
// 2. On the management node, it gets all of them, as from a shell.

import Platform

/// Derives the environment of a command.
struct RunEnvironment {
  /// PATH in the tree: the directories that distributions use for root.
  static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  /// The variable that names the image to the command, and to hooks that the command triggers.
  static let imageVariable = "IMGSTORE_IMAGE"

  private(set) var variables: [String: String]

  /// - Parameters:
  ///   - additional: NAME=VALUE, or NAME for the caller's variable.
  ///   - caller: the caller's environment.
  /// - Throws: `ImageError` (`usage`) for a variable without a name.
  init(
    _ location: RunRequest.Location, image: String?, additional: [String], caller: [String: String]
  ) throws {
    switch location {
    case .host: variables = caller
    case .tree:
      variables = [
        "PATH": RunEnvironment.path, "HOME": "/root", "USER": "root", "LOGNAME": "root",
        "LANG": "C.UTF-8",
        // systemctl then enables and presets units in the tree, and starts nothing (systemd, ENVIRONMENT.md).
        "SYSTEMD_OFFLINE": "1",
      ]
      variables["TERM"] = caller["TERM"]
    }
    variables[RunEnvironment.imageVariable] = image
    for text in additional {
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard !name.isEmpty else {
        throw ImageError(
          .usage, "variable '\(printable(text.utf8))'", "has no name",
          hint: "Write --env NAME=VALUE, or --env NAME for a variable of yours")
      }
      variables[name] = parts.count == 2 ? String(parts[1]) : caller[name]
    }
  }

  /// The variables as the kernel takes them.
  var entries: [[UInt8]] {
    variables.sorted { $0.key < $1.key }.map { Array("\($0.key)=\($0.value)".utf8) }
  }

  /// Returns the paths to execute for a program: its own if it contains a slash, else one for each directory of
  /// PATH.
  func candidates(for program: [UInt8]) -> [[UInt8]] {
    if program.contains(0x2f) { return [program] }
    return (variables["PATH"] ?? RunEnvironment.path).split(separator: ":")
      .map { Array($0.utf8) + [0x2f] + program }
  }
}

/// Returns a command as text that a shell would read in the same way, at most 200 characters of it.
func commandText(_ words: [[UInt8]]) -> String {
  let text = words.map { shellQuoted(printable($0)) }.joined(separator: " ")
  return text.count > 200 ? text.prefix(199) + "…" : text
}
