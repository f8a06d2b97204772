"""A systemd manager that does nothing but answer, on the session bus of its environment.

Prints each call as a line of JSON. Units named fail* end their job as "failed", and exists* are
there already.
"""
import json
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = NAME + ".Manager"


def say(*what):
    print(json.dumps(what, default=int), flush=True)


class Refusal(dbus.DBusException):
    def __init__(self, name, text):
        super().__init__(text, name=NAME + "." + name)


class Unit(dbus.service.Object):
    def __init__(self, bus, name):
        self.unit = name
        escaped = "".join(c if c.isascii() and c.isalnum() else "_%02x" % ord(c) for c in name)
        super().__init__(bus, PATH + "/unit/" + escaped)

    @dbus.service.method("org.freedesktop.DBus.Properties", "ss", "v")
    def Get(self, interface, key):
        assert (interface, key) == (NAME + ".Scope", "ControlGroup")
        return "/system.slice/" + self.unit


class Manager(dbus.service.Object):
    jobs, units = 0, {}

    def job(self, unit):
        self.jobs += 1
        path = "%s/job/%d" % (PATH, self.jobs)
        result = "failed" if unit.startswith("fail") else "done"
        GLib.idle_add(self.JobRemoved, self.jobs, path, unit, result)
        return dbus.ObjectPath(path)

    @dbus.service.signal(MANAGER, "uoss")
    def JobRemoved(self, number, path, unit, result):
        pass

    @dbus.service.method(MANAGER, "", "")
    def Subscribe(self):
        pass

    @dbus.service.method(MANAGER, "ssa(sv)a(sa(sv))", "o")
    def StartTransientUnit(self, unit, mode, properties, aux):
        if unit.startswith("exists"):
            raise Refusal("UnitExists", "Unit %s already exists." % unit)
        say("start", unit, mode, {k: v for k, v in properties})
        if unit not in self.units:
            self.units[unit] = Unit(self.connection, unit)
        return self.job(unit)

    @dbus.service.method(MANAGER, "ss", "o")
    def StopUnit(self, unit, mode):
        if unit not in self.units:
            raise Refusal("NoSuchUnit", "Unit %s not loaded." % unit)
        say("stop", unit, mode)
        return self.job(unit)

    @dbus.service.method(MANAGER, "s", "")
    def ResetFailedUnit(self, unit):
        raise Refusal("NoSuchUnit", "Unit %s not loaded." % unit)

    @dbus.service.method(MANAGER, "sba(sv)", "")
    def SetUnitProperties(self, unit, runtime, properties):
        say("set", unit, bool(runtime), {k: v for k, v in properties})

    @dbus.service.method(MANAGER, "ssau", "")
    def AttachProcessesToUnit(self, unit, below, pids):
        say("attach", unit, below, list(pids))


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName(NAME, bus)
manager = Manager(bus, PATH)
say("ready")
sys.stdin.close()
GLib.MainLoop().run()
