#!/bin/bash
# Builds four packages and lets rpm install three of them into a root tree.
# Arguments: FOLDER ROOT-TREE. The packages stay in FOLDER/top/RPMS.
set -eu
cd "$1"
build() { # NAME VERSION
  cat >"$1.spec" <<END
Name: $1
Version: $2
Release: 1
Summary: s
License: l
BuildArch: noarch
%description
d
%install
mkdir -p %{buildroot}/etc
echo $2 >%{buildroot}/etc/$1.conf
%files
%config /etc/$1.conf
END
  rpmbuild -bb --quiet --define "_topdir $PWD/top" "$1.spec" >log 2>&1 || { cat log >&2; exit 1; }
}
build moves 1; build moves 2; build goes 1; build stays 1
mkdir -p "$2"
rpm --root "$2" --dbpath /usr/lib/sysimage/rpm -i --nodeps top/RPMS/noarch/{moves-1,goes,stays}-*.rpm 2>/dev/null
rpm --root "$2" --dbpath /usr/lib/sysimage/rpm -qa --qf '%{NAME} %{EVR}\n' 2>/dev/null | sort >before
