// imgstore define.

import ArgumentParser
import Images

struct DefineCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "define",
    abstract: "Define an image in xCAT's tables, or change its definition",
    discussion: """
      The attributes are those of xCAT's osimage; 'attr=' unsets one. Without attributes, the \
      command prints the definition.

      -z reads stanzas, as lsdef -z prints them, from FILE or from standard input. With NAME it uses \
      only the stanza of NAME. --csv reads rows of the table osimage, linuximage or litefile, as \
      tabdump prints them: 'define --csv litefile FILE'.

      The command uses the first tables that exist: those of --xcat-dir; those that XCATCFG, or the \
      first line of /etc/xcat/cfgloc, names; those in /opt/xcat/cfg; those in /etc/xcat; tables \
      inside the store. If xCAT uses another database, xCAT's own commands change it.

      Examples:
        imgstore define login provmethod=netboot profile=login osvers=rhels9.4 \\
          osarch=x86_64 rootimgdir=/install/netboot/rhels9.4/x86_64/login
        imgstore define login pkglist=
      """)

  @Argument(help: "Name of the image; with --csv, the file of rows ('-' for standard input)")
  var name: String?
  @Argument(help: ArgumentHelp("Attributes to set", valueName: "attr=value")) var assignments:
    [String] =
      []
  @Option(
    name: .customShort("z"), defaultAsFlag: "-",
    help: ArgumentHelp("Read stanzas from FILE or standard input", valueName: "file"))
  var stanzas: String?
  @Option(help: ArgumentHelp("Read rows of this table", valueName: "table")) var csv: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if stanzas != nil, csv != nil { throw ValidationError("-z and --csv exclude each other.") }
    if stanzas != nil || csv != nil {
      guard assignments.isEmpty else {
        throw ValidationError("Attributes come from the text that is read, not from arguments.")
      }
    } else if name == nil {
      throw ValidationError("Name the image.")
    }
  }

  func run() throws {
    let workspace = try common.open()
    if let csv {
      let source = name ?? "-"
      let count = try workspace.define(table: csv, csv: try workspace.readInput(source))
      if try json.prints(RowsSetJSON(table: csv, rows: count)) { return }
      print("set \(Images.count(count, "row")) of \(csv)")
    } else if let stanzas {
      let names = try workspace.define(stanzas: try workspace.readInput(stanzas), only: name)
      if try json.prints(DefinitionsSetJSON(names: names)) { return }
      for name in names { print("set \(name)") }
    } else if let name {
      try defineOne(workspace, name)
    }
  }

  private func defineOne(_ workspace: Workspace, _ name: String) throws {
    let definition = try workspace.define(name, assignments)
    Terminal.finish()
    if json.json {
      try printJSON(
        DefinitionJSON(
          name: name,
          attributes: Dictionary(
            uniqueKeysWithValues: definition.attributes.map { ($0.name, $0.value) })))
      return
    }
    print("\(name):")
    for (attribute, value) in definition.attributes { print("    \(attribute)=\(value)") }
  }
}
