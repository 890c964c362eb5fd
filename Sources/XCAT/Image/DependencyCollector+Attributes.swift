// Collects the files that attributes of a definition name, each by its own rules.

import Platform

extension DependencyCollector {
  /// Collects the files in the boot directory that imgexport leaves out
  /// (docs/xcat-contract.md#left-out-of-bundles).
  mutating func collectBootDirectory() {
    guard
      let directory = ImageFiles.bootDirectory(definition, installDirectory: installDirectory)
    else { return }
    let referrer = "rootimgdir \(directory.text)"
    if definition.provisioning.mentions(.netboot) {
      need(directory.appending(ImageFiles.rootTreeName), .rootTree, referrer: referrer)
    }
    if definition.provisioning.mentions(.statelite), definition.rootFileSystem == "ramdisk" {
      // nodeset boots such an image from these two (anaconda.pm).
      need(directory.appending("initrd-stateless.gz"), .ramdisk, referrer: referrer)
      need(directory.appending("rootimg-statelite.gz"), .packed, referrer: referrer)
    }
    let hypervisor = directory.appending("hypervisor")
    if kind(of: hypervisor, referrer: referrer) == .file {
      add(hypervisor, isDirectory: false, .hypervisor, referrer: referrer)
    }
  }

  mutating func collectDirectory(_ attribute: String) {
    let role: Dependency.Role = attribute == "cfmdir" ? .cfmDirectory : .kernelDirectory
    for path in paths(of: attribute) { need(path, role, referrer: "attribute \(attribute)") }
  }

  /// Collects the includes of lists. xCAT reads a template's package list twice: with the template's
  /// directory for relative names and, on installed nodes, with its own (docs/xcat-contract.md#includes).
  mutating func collectIncludes() {
    let templates = paths(of: "template")
    for (attribute, dialect) in [
      ("template", ListDialect.template), ("pkglist", .packages), ("otherpkglist", .packages),
      ("exlist", .excludes),
    ] {
      for path in paths(of: attribute) {
        var directories = [path.parent]
        if attribute == "pkglist" {
          directories += Set(templates.map(\.parent)).subtracting(directories)
            .sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        }
        collectIncludes(
          of: path, dialect, directories: directories, referrer: "attribute \(attribute)")
      }
    }
  }

  /// Collects partition files: "file", "s:script", and with "d:" or "c:" names of disks and kernel
  /// arguments. These are files too, and scripts with "s:d:" and "s:c:" (Template.pm). A template
  /// includes them, and expands their includes.
  mutating func collectPartitionFiles() {
    let template = paths(of: "template").first
    for item in items(of: "partitionfile") {
      var text = item[...]
      for prefix in ["s:", "d:", "c:"] where text.hasPrefix(prefix) { text = text.dropFirst(2) }
      let referrer = "attribute partitionfile"
      guard let path = path(String(text), in: referrer) else { continue }
      need(path, .partitionFile, referrer: referrer)
      if let template, kind(of: path, referrer: referrer) == .file {
        collectIncludes(of: path, .template, directories: [template.parent], referrer: referrer)
      }
    }
  }

  /// Collects drivers: "dud:/path" (a driver disk), "rpm:/path" or "/path"; keywords ignore case
  /// (anaconda.pm).
  mutating func collectDrivers() {
    let referrer = "attribute driverupdatesrc"
    for item in items(of: "driverupdatesrc") {
      let isKeyword = ["dud:", "rpm:"].contains(item.prefix(4).lowercased())
      let text = isKeyword ? String(item.dropFirst(4)) : item
      if let path = path(text, in: referrer) { need(path, .driverUpdate, referrer: referrer) }
    }
  }

  /// Collects only items with arguments: imgexport takes the others.
  mutating func collectPostinstall() {
    let referrer = "attribute postinstall"
    for item in items(of: "postinstall") {
      let words = item.utf8.split(whereSeparator: isBlank)
      guard words.count > 1, let path = path(String(words[0]) ?? "", in: referrer) else { continue }
      need(path, .postinstall, referrer: referrer)
    }
  }

  /// Collects scripts: "script argument…", below the postscripts directory.
  mutating func collectScripts(_ attribute: String, role: Dependency.Role) {
    let referrer = "attribute \(attribute)"
    let directory = installDirectory.appending("postscripts")
    for item in items(of: attribute) {
      let name = Array(item.utf8.prefix { !isBlank($0) })
      guard let path = AbsolutePath(directory.bytes + [UInt8(ascii: "/")] + name) else {
        report(
          .unresolved, referrer,
          "'\(printable(name))' is not the name of a script in \(directory.text)",
          hint: "Name a script of that directory, without '..'")
        continue
      }
      need(path, role, referrer: referrer)
    }
  }
}
