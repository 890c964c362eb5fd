// The names of xCAT's commands, each with the imgstore command for the same task (docs/coming-from.md). As
// the program's own name, `imgexport`, `imgimport`, `packimage` and `liteimg` are xCAT's commands
// (XCATNames).

/// Answers to the names of xCAT's commands.
enum XCATCommandHints {
  static let answers: [String: String] = {
    let define =
      "'imgstore define IMAGE ATTRIBUTE=VALUE' defines an image or changes its definition"
    let dump =
      "'imgstore images -z' prints all definitions, 'imgstore show IMAGE -z' prints one, and 'imgstore images --csv TABLE' prints a table"
    let remove =
      "'imgstore forget IMAGE --entirely' removes all snapshots of an image, and 'imgstore remove IMAGE --definition' takes a directory off the list of images; xCAT's own rmdef and rmimage remove an osimage and its files"
    return [
      "imgexport": "'imgstore export IMAGE' writes a bundle",
      "imgimport":
        "'imgstore import FILE' reads a bundle, and with --force it replaces an existing image",
      "packimage": "'imgstore pack IMAGE' packs the root tree into the file that nodes download",
      "liteimg": "'imgstore lite IMAGE' gives a root tree the layout of statelite nodes",
      "lsdef": dump, "tabdump": dump,
      "mkdef": define, "chdef": define,
      "tabrestore":
        "'imgstore define --csv TABLE FILE' reads the rows of osimage, linuximage or litefile",
      "rmdef": remove, "rmimage": remove,
      "genimage":
        "xCAT's own genimage builds images; 'imgstore snapshot IMAGE' saves the result",
      "nodeset":
        "xCAT's own nodeset sets what nodes boot. 'imgstore status IMAGE' lists the nodes of an image, and 'revert', 'undo', 'resume' and 'import' run nodeset with --nodeset",
    ]
  }()
}
