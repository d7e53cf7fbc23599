"""For tests of rbench and of plug-ins: defences and problems whose right verdict is known."""
