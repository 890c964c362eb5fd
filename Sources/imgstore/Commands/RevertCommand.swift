// imgstore revert.

import ArgumentParser
import Images

struct Revert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revert",
    abstract: "Make the live image, or parts of it, what a snapshot says.",
    discussion: """
      REF alone is the whole image: files, tree and table rows. With paths, or with --component, only \
      these become what they are in the snapshot, and what it lacks goes; all else stays as it is. \
      PATH is inside the root tree, or absolute on the management node.

      Only what differs is written, and what is extra is removed. What would be lost and is in no \
      snapshot yet is put into one first. A tree that nobody uses is built beside the live one and \
      takes its place in one step, if that is worth it; else it is changed in place. Which, and why, \
      is said; --swap and --in-place decide it. If the revert is cut short, 'imgstore resume' \
      completes it or takes it back. It ends with a proof: the live image, compared again.

      Examples:
        imgstore revert compute@golden
        imgstore revert compute@golden:etc/ssh
        imgstore revert compute@12 etc/hosts usr/lib/modules
        imgstore revert compute@12 --component kernel --component ramdisk
      """)

  @Argument(help: "REF or REF:PATH: the snapshot to go back to.") var ref: String
  @Argument(help: "Revert only these.") var paths: [String] = []
  @Option(
    help: ArgumentHelp(
      "Revert only this: definition, kernel, ramdisk, packed, tree, a list (pkglist) or an attribute.",
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
    try finish(try workspace.revert(request), workspace, options, nodeset, json)
  }
}
