// imgstore revert.

import ArgumentParser
import Images

struct RevertCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "revert",
    abstract: "Restore the live image to a snapshot: files, tree and table rows",
    discussion: """
      REF alone reverts the whole image. With paths or --component, the command reverts only these \
      parts, removes files there that the snapshot lacks, and changes nothing else. PATH is inside \
      the root tree, or an absolute path of the management node.

      The command writes only differences and removes extra files. It snapshots unsaved changes \
      first. It builds an idle tree next to the live one and swaps the two in one step if that is \
      cheaper; otherwise it changes the tree in place. The output says which method was used, and \
      why; --swap and --in-place choose one.

      At the end, the command compares the live image with the snapshot again. If a revert is \
      interrupted, 'imgstore resume' completes it or rolls it back.

      Examples:
        imgstore revert compute@golden
        imgstore revert compute@golden:etc/ssh
        imgstore revert compute@12 etc/hosts usr/lib/modules
        imgstore revert compute@12 --component kernel --component ramdisk
      """)

  @Argument(help: "Snapshot to restore: REF or REF:PATH") var ref: String
  @Argument(help: "Paths to revert (default: the whole image)") var paths: [String] = []
  @Option(
    help: ArgumentHelp(
      "Revert only this: definition, kernel, ramdisk, packed, tree, a list (pkglist) or an attribute; repeatable",
      valueName: "name"))
  var component: [String] = []
  @OptionGroup var options: ChangeOptions
  @OptionGroup var nodeset: NodesetOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = options.request(ref)
    request.parts = ImageParts(paths: paths, components: component)
    let workspace = try common.open()
    try nodeset.check(workspace)
    try reportChange(try workspace.revert(request), workspace, options, nodeset, json)
  }
}
