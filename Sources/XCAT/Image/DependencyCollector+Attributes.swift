// What the attributes of a definition name, each by its own rules.

import Platform

extension DependencyCollector {
  /// What lies beside the boot files that imgexport takes.
  mutating func collectBootDirectory() {
    guard
      let directory = ImageFiles.bootDirectory(definition, installDirectory: installDirectory)
    else { return }
    let why = "rootimgdir \(directory.text)"
    if definition.provisioning.contains("netboot") {
      need(directory.appending(ImageFiles.rootTree), .rootTree, why: why)
    }
    if definition.provisioning.contains("statelite"), definition.osimage["rootfstype"] == "ramdisk"
    {
      // nodeset boots such an image from these two (anaconda.pm).
      need(directory.appending("initrd-stateless.gz"), .ramdisk, why: why)
      need(directory.appending("rootimg-statelite.gz"), .packed, why: why)
    }
    let hypervisor = directory.appending("hypervisor")
    if kind(of: hypervisor, why: why) == .file {
      add(hypervisor, isDirectory: false, .hypervisor, why: why)
    }
  }

  mutating func collectDirectory(_ attribute: String) {
    let role: Dependency.Role = attribute == "cfmdir" ? .cfmDirectory : .kernelDirectory
    for path in paths(of: attribute) { need(path, role, why: "attribute \(attribute)") }
  }

  /// What the lists include. A template's package list is read twice by xCAT: with the template's
  /// folder for relative names, and, on installed nodes, with its own.
  mutating func collectIncludes() {
    let templates = paths(of: "template")
    for (attribute, dialect) in [
      ("template", ListDialect.template), ("pkglist", .packages), ("otherpkglist", .packages),
      ("exlist", .excludes),
    ] {
      for path in paths(of: attribute) {
        var folders = [path.parent]
        if attribute == "pkglist" {
          folders += Set(templates.map(\.parent)).subtracting(folders)
            .sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        }
        collectIncludes(of: path, dialect, folders: folders, why: "attribute \(attribute)")
      }
    }
  }

  /// "file", "s:script", and after "d:" or "c:" names and arguments of disks and the kernel: files
  /// as well, and scripts with "s:d:" and "s:c:" (Template.pm). A template takes them in, and so
  /// expands what they include.
  mutating func collectPartitionFiles() {
    let template = paths(of: "template").first
    for item in items(of: "partitionfile") {
      var text = item[...]
      for prefix in ["s:", "d:", "c:"] where text.hasPrefix(prefix) { text = text.dropFirst(2) }
      let why = "attribute partitionfile"
      guard let path = path(String(text), in: why) else { continue }
      need(path, .partitionFile, why: why)
      if let template, kind(of: path, why: why) == .file {
        collectIncludes(of: path, .template, folders: [template.parent], why: why)
      }
    }
  }

  /// "dud:/path" (a driver disk), "rpm:/path" or "/path"; the keywords in any case (anaconda.pm).
  mutating func collectDrivers() {
    let why = "attribute driverupdatesrc"
    for item in items(of: "driverupdatesrc") {
      let isKeyword = ["dud:", "rpm:"].contains(item.prefix(4).lowercased())
      let text = isKeyword ? String(item.dropFirst(4)) : item
      if let path = path(text, in: why) { need(path, .driverUpdate, why: why) }
    }
  }

  /// Only items with arguments: imgexport takes the others.
  mutating func collectPostinstall() {
    let why = "attribute postinstall"
    for item in items(of: "postinstall") {
      let words = item.utf8.split(whereSeparator: isBlank)
      guard words.count > 1, let path = path(String(words[0]) ?? "", in: why) else { continue }
      need(path, .postinstall, why: why)
    }
  }

  /// "script argument…", below the postscripts folder.
  mutating func collectScripts(_ attribute: String, role: Dependency.Role) {
    let why = "attribute \(attribute)"
    let folder = installDirectory.appending("postscripts")
    for item in items(of: attribute) {
      let name = Array(item.utf8.prefix { !isBlank($0) })
      guard let path = AbsolutePath(folder.bytes + [UInt8(ascii: "/")] + name) else {
        report(
          .unresolved, why, "'\(printable(name))' is not the name of a script in \(folder.text)",
          advice: "Name a script of that folder, without '..'")
        continue
      }
      need(path, role, why: why)
    }
  }
}
