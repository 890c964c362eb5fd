// imgstore images.

import ArgumentParser
import Images

struct ImagesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "images", abstract: "List images that are defined or have snapshots",
    aliases: ["list"])

  @Flag(name: .customShort("z"), help: "Print all definitions as stanzas, as lsdef -l -z does")
  var stanzas = false
  @Option(help: ArgumentHelp("Print this table of xCAT, as tabdump does", valueName: "table"))
  var csv: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if [stanzas, csv != nil, json.json].count(where: { $0 }) > 1 {
      throw ValidationError("-z, --csv and --json exclude each other.")
    }
  }

  func run() throws {
    let workspace = try common.open()
    if stanzas || csv != nil {
      let text = try csv.map { try workspace.dump(table: $0) } ?? workspace.stanzas()
      Terminal.finish()
      return print(text, terminator: "")
    }
    let images = try workspace.images()
    Terminal.finish()
    // The caller named the store, so it should exist. Its disk, with the list of directories, may not be
    // mounted.
    if let store = workspace.absentStore, json.json || !images.isEmpty, common.namesStore {
      Terminal.warning("there is no store in \(store)")
    }
    if json.json {
      try printJSON(ImagesJSON(images: images))
      return try expectReadable(images.flatMap(\.unreadable))
    }
    if images.isEmpty {
      print("no images yet: 'imgstore snapshot DIR' takes a snapshot of a directory")
      if let store = workspace.absentStore { print("there is no store in \(store) yet") }
      return
    }
    var rows = [["IMAGE", "KIND", "SNAPSHOTS", "LATEST"]]
    for image in images {
      rows.append([
        image.name
          + (image.unfinished.map { $0.isRunning ? " (changing)" : " (unfinished)" } ?? ""),
        image.directory != nil
          ? "directory" : image.isStaged ? "staged" : image.provisioning?.text ?? "not defined",
        "\(image.snapshots)",
        image.latest.map { timeText($0.snapshot.created) } ?? "-",
      ])
    }
    print(table(rows))
    for image in images where !image.staged.isEmpty {
      print("\n\(image.name) is staged as \(image.staged.joined(separator: ", "))")
    }
    for change in images.compactMap(\.unfinished) where !change.isRunning {
      print("\n\(change.image): \(unfinishedText(change))")
    }
    try expectReadable(images.flatMap(\.unreadable))
  }
}
