// imgstore init.

import ArgumentParser
import Images

struct InitCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "init",
    abstract: "Create a store, or let a group read it",
    discussion: """
      The first snapshot creates a store, too. imgstore remembers a store that init created. If that \
      store is missing later because its file system is not mounted, no command creates another one \
      in its place, except 'init --force'.

      With --group, members of that group can list, compare and restore; only the store's owner can \
      change it. Members can read all data of the store, including passwords and keys of images.

      Examples:
        imgstore init /srv/imgstore
        imgstore init --group hpcadmins
      """)

  @Argument(help: "Directory of the store; the same as --store") var dir: String?
  @Option(help: ArgumentHelp("Let this group read the store", valueName: "group")) var group:
    String?
  @Flag(help: "Create a store where an earlier one no longer exists") var force = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if dir != nil, common.store != nil {
      throw ValidationError("DIR and --store are the same: give one.")
    }
  }

  func run() throws {
    var common = common
    if let dir { common.store = dir }
    let store = try common.open().initializeStore(group: group, force: force)
    if try json.prints(store) { return }
    print(store.isNew ? "created a store in \(store.path)" : "the store in \(store.path) exists")
    if let group { print("  members of \(group) can read it") }
  }
}
