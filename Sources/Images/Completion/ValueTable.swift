// The kinds of the values on a command line. Each new command, operand or option with a value needs a row,
// or CompletionTableTests fails. Values with a fixed list in the parser need no row.

import XCAT

/// The kind of an operand or of an option's value.
public enum ValueKind: Sendable, Equatable {
  /// IMAGE.
  case image
  /// IMAGE or IMAGE@SELECTOR.
  case snapshot
  /// IMAGE, IMAGE@SELECTOR or IMAGE@live, also with a colon and a path.
  case state
  /// IMAGE@SELECTOR, also with a colon and a path.
  case entry
  /// IMAGE@TAG.
  case taggedSnapshot
  /// A path in the snapshot that the first operand names.
  case path
  /// A tag of the image that the first operand names.
  case tag
  /// A component of an image: "kernel", "pkglist", an attribute.
  case component
  /// ATTRIBUTE=VALUE of a definition.
  case assignment
  /// A command, followed by its subcommands.
  case command
  case file
  case directory
  /// An image, or a directory that is written as a path.
  case imageOrDirectory
  case oneOf([String])
  /// The name of a remote.
  case remote
  /// A number, a text or a new name, without candidates.
  case free
}

/// The kinds of all values.
public enum ValueTable {
  /// Returns the kind of a value.
  /// - Parameters:
  ///   - name: the operand's name in the help, or the option's name: "ref", "--message".
  ///   - command: "revert", "key trust"; empty for the options before a command.
  /// - Returns: nil if the table does not list the value.
  public static func kind(of name: String, in command: String) -> ValueKind? {
    commands[command]?[name] ?? everyCommand[name]
  }

  private static let everyCommand: [String: ValueKind] = [
    "--store": .directory, "--root": .directory, "--xcat-dir": .directory, "--wait": .free,
    "--key": .file, "--trusted-keys": .directory, "--cache-limit": .free, "--max-bytes": .free,
    "--max-time": .free, "--message": .free, "--remote": .remote, "--evict": .free,
    "--remote-host": .free, "--config": .file,
  ]

  private static let tableNames = TableSchema.all.map(\.name)

  private static let commands: [String: [String: ValueKind]] = [
    "define": [
      "name": .image, "attr=value": .assignment, "-z": .file,
      "--csv": .oneOf(["osimage", "linuximage", "litefile"]),
    ],
    "add": ["name": .imageOrDirectory, "dir": .directory, "--exclude": .free],
    "init": ["dir": .directory, "--group": .free],
    "images": ["--csv": .oneOf(tableNames)],
    "show": ["ref": .entry],
    "copy": ["ref": .snapshot, "name": .free, "--profile": .free, "--to": .directory],
    "snapshot": ["names": .imageOrDirectory, "--tag": .tag, "--exclude": .free],
    "log": ["name": .image, "path": .path, "--limit": .free],
    "status": ["name": .image],
    "diff": ["ref": .state, "newer": .state, "path": .path, "--unified": .path],
    "run": ["name": .image, "command": .free, "--bind": .file, "--env": .free],
    "ls": ["ref": .entry, "path": .path],
    "cat": ["files": .entry],
    "find": [
      "ref": .entry, "path": .path, "--name": .free, "--larger": .free,
      "--type": .oneOf(["f", "d", "l", "b", "c", "p", "s"]),
    ],
    "grep": ["pattern": .free, "ref": .entry, "path": .path],
    "blame": ["ref": .entry, "path": .path],
    "secrets": ["ref": .snapshot],
    "revert": ["ref": .entry, "paths": .path, "--component": .component, "--allow": .file],
    "undo": ["name": .image, "--allow": .file],
    "resume": ["name": .image], "standby": ["refs": .snapshot],
    "restore": ["ref": .entry, "dest": .file, "--output": .file],
    "pack": ["ref": .snapshot, "--output": .file],
    "stage": [
      "ref": .snapshot, "--nodes": .free, "--server": .free, "--name": .free, "--rootimg": .free,
    ],
    "lite": ["image": .image], "nodes": ["name": .image, "--timeout": .free],
    "which": ["what": .file, "--timeout": .free],
    "bench": [
      "subject": .imageOrDirectory, "--change": .free, "--rounds": .free, "--work": .directory,
      "--plot": .file,
    ],
    "export": [
      "ref": .snapshot, "dest": .file, "--extra": .file, "--postscripts": .free,
      "--allow": .directory, "--to": .file, "--layers": .oneOf(["single", "history"]),
      "--ref": .free, "--platform": .free, "--since": .snapshot, "--have": .file,
    ],
    "have": ["name": .image],
    "import": [
      "bundle": .file, "--profile": .free, "--name": .free, "--postscripts": .free,
      "--allow": .directory, "--to": .directory, "--ref": .free, "--platform": .free,
      "--image-key": .file,
    ],
    "remote add": [
      "name": .free, "url": .directory, "--endpoint": .free, "--region": .free,
      "--aws-profile": .free, "--credentials": .file, "--ca-file": .file, "--requests": .free,
    ],
    "remote show": ["remote": .remote], "remote check": ["remote": .remote],
    "remote remove": ["name": .remote],
    "push": ["remote": .remote, "refs": .snapshot],
    "pull": ["remote": .remote, "refs": .snapshot, "--as": .image, "--allow": .file],
    "clone": ["url": .directory],
    "serve": [
      "--listen": .free, "--tls": .file, "--token-file": .file, "--cache": .directory,
      "--access-log": .file,
    ],
    "key generate": ["--output": .file],
    "key trust": ["file": .file, "--name": .free],
    "hooks enable": ["names": .oneOf(HookKind.allCases.map(\.rawValue))],
    "hooks disable": ["names": .oneOf(HookKind.allCases.map(\.rawValue))],
    "sign": ["refs": .snapshot],
    "tag": ["ref": .snapshot, "tag": .tag],
    "pins": ["name": .image], "tags": ["name": .image],
    "untag": ["image@tag": .taggedSnapshot],
    "pin": ["refs": .snapshot],
    "unpin": ["refs": .snapshot],
    "forget": [
      "names": .image, "--keep-last": .free, "--keep-hourly": .free, "--keep-daily": .free,
      "--keep-weekly": .free, "--keep-monthly": .free, "--keep-yearly": .free,
      "--keep-within": .free, "--keep-auto": .free,
    ],
    "remove": ["refs": .snapshot],
    "optimize": ["--level": .free],
    "recipes": ["ref": .snapshot],
    "du": ["refs": .snapshot],
    "repair": ["--from": .file],
    "config show": ["image": .image],
    "metrics": ["--output": .file],
    "json-schema": ["kind": .free], "help": ["subcommands": .command],
  ]
}
