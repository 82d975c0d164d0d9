"""What a run is: recipe -> Settings -> Plan. No torch."""
