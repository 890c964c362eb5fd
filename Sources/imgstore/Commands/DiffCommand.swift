// imgstore diff: compares files, definitions, lists and packages.

import ArgumentParser
import Images

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare two snapshots, or a snapshot with the live image",
    discussion: """
      The command prints a line for each path, relative to its root tree: A added, D removed, M \
      content changed, m attributes changed (with their names), t only the time changed. Changed \
      lists and scripts of the image follow as text.

      --packages lists packages that were added, removed or replaced by another version. It also \
      counts the changed paths by owner: packages that changed, modified configuration files, \
      packages that did not change, and no package.

      With -q, the command prints no differences, and ends with code 7 if there are any.

      On a terminal, the output is coloured unless NO_COLOR is set, and goes through PAGER (default: \
      less -FRX).
      """)

  @Argument(
    help: "Older snapshot: REF or REF:PATH (default: the latest of the only image)")
  var ref: String?
  @Argument(help: "Newer snapshot (default: the live image)") var newer: String?
  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp("Paths to compare, after '--' (default: all)", valueName: "path"))
  var onlyPaths: [String] = []
  @Flag(help: "Compare the package databases of dpkg and rpm instead of paths")
  var packages = false
  @Flag(help: "With --packages, list each changed path with its owner")
  var paths = false
  @Flag(
    name: [.customShort("p"), .customLong("patch")], help: "Print the text of changed files, too")
  var patch = false
  @Flag(help: "Print only counts") var stat = false
  @Flag(help: "Print only paths, one per line") var nameOnly = false
  @Flag(help: "List each entry of directories that were added or removed") var all = false
  @OptionGroup var exit: ExitCodeFlag
  @Option(
    name: [.customShort("u"), .customLong("unified")],
    help: ArgumentHelp("Print a unified diff of one text file", valueName: "path"))
  var unified: String?
  @Flag(help: "Do not escape control characters on a terminal") var raw = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if paths, !packages { throw ValidationError("--paths needs --packages.") }
    if patch, packages || stat || nameOnly || unified != nil {
      throw ValidationError("-p excludes --packages, --stat, --name-only and -u.")
    }
    if nameOnly, packages || stat || unified != nil {
      throw ValidationError("--name-only excludes --packages, --stat and -u.")
    }
    if unified != nil, packages || stat {
      throw ValidationError("-u compares one file; it excludes --packages and --stat.")
    }
  }

  func run() throws {
    let workspace = try common.open()
    var (older, newer, paths) = (try ref ?? workspace.onlyImage(), newer, onlyPaths)
    if newer == nil, let range = try SnapshotRange(older) {
      older = "\(range.image)@\(range.numbers.lowerBound)"
      newer = "\(range.image)@\(range.numbers.upperBound)"
    } else if let path = newer, try workspace.isPathInImage(path) {
      paths.insert(path, at: 0)
      newer = nil
    }
    let comparison = try workspace.comparison(older, newer, paths: paths)
    if json.json || unified != nil || !common.quiet {
      try show(comparison)
    } else {
      Terminal.finish()
    }
    try expectComparable(comparison.uncompared)
    try exit.expectEqual(comparison.diff, quiet: common.quiet && !json.json)
  }

  private func show(_ comparison: Comparison) throws {
    if let unified { return try show(try comparison.text(unified), comparison.diff) }
    let packageDiffs = packages ? try comparison.packages() : nil
    let lists = packages || stat || nameOnly || !comparison.isWhole ? [] : try comparison.lists()
    Terminal.finish()
    let remarks = (packageDiffs ?? []).flatMap(\.remarks)
    if json.json {
      try printJSON(DiffJSON(comparison.diff, packages: packageDiffs, lists: lists))
      if !remarks.isEmpty { throw CompletedWithWarnings(lines: remarks) }
      return
    }
    try showText(comparison, packageDiffs, lists)
    if !remarks.isEmpty { throw CompletedWithWarnings(lines: remarks) }
  }

  private func showText(
    _ comparison: Comparison, _ packageDiffs: [PackageDiff]?, _ lists: [TextDiff]
  ) throws {
    StandardOutput.begin(raw: raw)
    defer { StandardOutput.end() }
    if let packageDiffs {
      for diff in packageDiffs { show(diff, comparison.diff) }
      if packageDiffs.isEmpty { print("neither side has a root tree") }
    } else if nameOnly {
      return DiffText(comparison.diff).printNames()
    } else if stat {
      showCounts(comparison)
    } else {
      DiffText(comparison.diff, showsAll: all).printAll()
      for list in lists {
        print("")
        try StandardOutput.write(diff: list.lines)
      }
      if patch {
        for change in comparison.diff.entries {
          guard let text = try comparison.text(of: change), !text.lines.isEmpty else { continue }
          print("")
          try StandardOutput.write(diff: text.lines)
        }
      }
    }
    printMessage(
      comparison.diff.isEmpty
        ? "no difference between \(comparison.diff.old) and \(comparison.diff.new)"
        : "\n\(comparison.diff.old) → \(comparison.diff.new): \(summary(comparison.diff))")
  }

  private func show(_ text: TextDiff, _ diff: ImageDiff) throws {
    if try json.prints(text) { return }
    StandardOutput.begin(raw: raw)
    defer { StandardOutput.end() }
    try StandardOutput.write(diff: text.lines)
  }

  // MARK: --stat

  /// Prints, for each directory near the top of a tree, the number of changed paths and of added or removed
  /// bytes.
  private func showCounts(_ comparison: Comparison) {
    let trees = comparison.treePaths
    var counts: [String: (paths: Int, bytes: Int64)] = [:]
    for change in comparison.diff.entries {
      let (old, new) = change.sides
      let above =
        trees.contains(change.path)
        ? change.path[...] : change.path[..<(change.path.lastIndex(of: 0x2f) ?? 0)]
      // Two levels below the root of a tree are enough.
      let tree = trees.first { above.starts(with: $0 + [0x2f]) } ?? []
      let depth = tree.isEmpty ? .max : tree.split(separator: 0x2f).count + 2
      let parts = above.split(separator: 0x2f).prefix(depth)
      let key = "/" + parts.map { printable($0) }.joined(separator: "/")
      let grown = Int64(clamping: new?.sizeBytes ?? 0) - Int64(clamping: old?.sizeBytes ?? 0)
      counts[key, default: (0, 0)].paths += 1
      counts[key, default: (0, 0)].bytes += grown
    }
    if counts.isEmpty { return }
    print(
      table(
        counts.sorted { $0.key < $1.key }.map { key, value in
          let sign = value.bytes < 0 ? "-" : "+"
          return [count(value.paths, "path"), sign + sizeText(value.bytes.magnitude), key]
        }))
  }

  // MARK: --packages

  private func show(_ packages: PackageDiff, _ diff: ImageDiff) {
    guard packages.oldKind != nil || packages.newKind != nil else {
      print("\(printable(packages.path)): no package database on either side")
      return
    }
    let text = PackageDiffText(packages)
    for line in text.changes { print(paintedBySign(line)) }
    printMessage("\n" + text.summary)
    var groups: [ChangedPathOwner.Kind: [(TreeChange, String?)]] = [:]
    for change in diff.entries where !change.isTimeOnly {
      guard let ownership = packages.ownerships[change.path] else { continue }
      groups[ownership.kind, default: []].append((change, ownership.package))
    }
    printMessage(
      "paths: "
        + ChangedPathOwner.Kind.allCases.map { "\(groups[$0]?.count ?? 0) \($0.phrase)" }
        .joined(separator: ", "))
    for kind in ChangedPathOwner.Kind.allCases where paths || kind.isSurprising {
      for (change, package) in groups[kind] ?? [] {
        print("\(kind.rawValue)  \(changeText(change))" + (package.map { "  [\($0)]" } ?? ""))
      }
    }
  }
}

extension TreeChange {
  /// Whether only the modification time changed.
  var isTimeOnly: Bool {
    if case .changed(_, _, let fields) = kind { fields == .modified } else { false }
  }
}

extension ChangedPathOwner.Kind {
  /// The words for the number of paths of this kind.
  fileprivate var phrase: String {
    switch self {
    case .package: "of packages that changed"
    case .configuration: "changed configuration files"
    case .modified: "changed in unchanged packages"
    case .unowned: "of no package"
    }
  }

  /// Whether paths of this kind are listed without --paths, because they deserve attention.
  fileprivate var isSurprising: Bool { self == .configuration || self == .modified }
}

/// Returns a line of a diff in the colour for its first letter.
func paintedBySign(_ line: String) -> String {
  switch line.first {
  case "A": StandardOutput.painted(line, .green)
  case "D": StandardOutput.painted(line, .red)
  case "M", "m": StandardOutput.painted(line, .yellow)
  default: line
  }
}
