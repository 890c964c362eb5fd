// imgstore add.

import ArgumentParser
import Images

struct AddCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "add",
    abstract: "Turn a directory into an image, and set what to leave out",
    discussion: """
      The directory is the root of the tree. 'imgstore snapshot DIR' also adds it, and takes the \
      first snapshot at once.

      PATTERN is a line of a .gitignore. 'var/cache/*' matches everything in one directory, '*.pyc' \
      matches files in any directory, 'build/' matches directories only, and '!keep' includes a path \
      again. Snapshots leave excluded files out, and reverts do not touch them. A file \
      .imgstoreignore at the top of the tree can hold more patterns. Another --exclude replaces all \
      earlier patterns.

      Examples:
        imgstore add compute /srv/images/compute
        imgstore add gpu /srv/images/gpu-2026 --exclude 'var/cache/*'
        imgstore add gpu --exclude 'var/cache/*' --exclude '/tmp/*'
        imgstore snapshot gpu
      """)

  @Argument(
    help: ArgumentHelp("Name of the image (default: that of the directory)", valueName: "name"))
  var first: String
  @Argument(help: ArgumentHelp("Directory of the image", valueName: "dir")) var second: String?
  @Option(
    help: ArgumentHelp(
      "Leave out files that match; repeatable", valueName: "pattern"))
  var exclude: [String] = []
  @Flag(help: "Remove all patterns") var noExcludes = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if noExcludes, !exclude.isEmpty {
      throw ValidationError("Give --exclude or --no-excludes, not both.")
    }
  }

  func run() throws {
    let workspace = try common.open()
    let added = try workspace.addDirectory(
      second == nil ? nil : first, at: second ?? first,
      excludes: noExcludes ? [] : exclude.isEmpty ? nil : exclude)
    if try json.prints(added) { return }
    let before =
      added.isNew ? "" : added.movedFrom.map { ", no longer \($0)" } ?? ", as before"
    print("\(added.name): the directory \(added.path)\(before)")
    print(
      "  \(count(added.entryCount, "entry")) at the top"
        + (added.system.isEmpty ? "" : ", \(added.system)"))
    if !added.excludes.isEmpty {
      print("  left out: " + added.excludes.map { printable($0.utf8) }.joined(separator: ", "))
    }
    for pattern in added.unmatched {
      Terminal.warning("'\(printable(pattern.utf8))' matches no file in \(added.path) now")
    }
    if added.entryCount == 0 { Terminal.warning("\(added.path) is empty") }
  }
}
