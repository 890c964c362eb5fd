// imgstore add: a directory becomes an image.

import ArgumentParser
import Images
import Platform

struct Add: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add",
    abstract: "Make a directory an image, and say what of it is left out.",
    discussion: """
      The directory itself is the root of the tree. 'imgstore snapshot DIR' does the same and takes the first \
      snapshot at once.

      PATTERN is a line of a .gitignore: 'var/cache/*' what is in one directory, '*.pyc' files of that name \
      anywhere, 'build/' directories only, '!keep' takes back. What is excluded is in no snapshot, and no revert \
      touches it. A file .imgstoreignore at the top of the tree holds more patterns. Given again, --exclude \
      replaces the patterns of before.

      Examples:
        imgstore add compute /srv/images/compute
        imgstore add gpu /srv/images/gpu-2026 --exclude 'var/cache/*'
        imgstore add gpu --exclude 'var/cache/*' --exclude '/tmp/*'
        imgstore snapshot gpu
      """)

  @Argument(help: ArgumentHelp("The image's name; by default the directory's.", valueName: "name"))
  var first: String
  @Argument(help: ArgumentHelp("The directory.", valueName: "dir")) var second: String?
  @Option(
    help: ArgumentHelp(
      "Leave out what matches. Repeatable.", valueName: "pattern"))
  var exclude: [String] = []
  @Flag(help: "Leave out nothing any more.") var noExcludes = false
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
    Terminal.finish()
    if json.json { return try printJSON(AddedJSON(added)) }
    let before =
      added.isNew ? "" : added.movedFrom.map { ", and not \($0) any more" } ?? ", as before"
    print("\(added.name): the directory \(added.path)\(before)")
    print(
      "  \(count(added.entryCount, "entry")) at the top"
        + (added.system.isEmpty ? "" : ", \(added.system)"))
    if !added.excludes.isEmpty {
      print("  left out: " + added.excludes.map { printable($0.utf8) }.joined(separator: ", "))
    }
    for pattern in added.unmatched {
      Terminal.warning("'\(printable(pattern.utf8))' matches nothing in \(added.path) now")
    }
    if added.entryCount == 0 { Terminal.warning("\(added.path) is empty") }
  }
}

struct AddedJSON: JSONDocument {
  static let kind = "added"
  let image: String
  let path: String
  let excludes: [String]
  let new: Bool
  let movedFrom: String?
  let entries: Int
  let unmatched: [String]
  let system: String

  init(_ added: AddedDirectory) {
    image = added.name
    path = added.path
    excludes = added.excludes
    new = added.isNew
    movedFrom = added.movedFrom
    entries = added.entryCount
    unmatched = added.unmatched
    system = added.system
  }
}
