// imgstore init: a store is made on purpose.

import ArgumentParser
import Images
import Platform

struct Init: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init",
    abstract: "Make a store, or let a group read it.",
    discussion: """
      The first snapshot makes a store as well. A store that was made by init is remembered: where it is \
      missing later, because its file system is not mounted, no command makes another one in its place.

      With --group, members of that group may list, compare and restore; only the store's owner changes \
      anything. They can read all that is in it: the passwords and keys of images as well.

      Examples:
        imgstore init /srv/imgstore
        imgstore init --group hpcadmins
      """)

  @Argument(help: "The store's folder; the same as --store.") var dir: String?
  @Option(help: ArgumentHelp("Let this group read the store.", valueName: "group")) var group:
    String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if dir != nil, common.store != nil {
      throw ValidationError("DIR and --store say the same: give one.")
    }
  }

  func run() throws {
    var common = common
    if let dir { common.store = dir }
    let made = try common.open().initializeStore(group: group)
    Terminal.finish()
    if json.json { return try printJSON(InitJSON(store: made.path, new: made.isNew)) }
    print(made.isNew ? "made a store in \(made.path)" : "there is a store in \(made.path)")
    if let group { print("  members of \(group) may read it") }
  }
}

struct InitJSON: JSONDocument {
  static let kind = "init"
  let store: String
  let new: Bool
}
