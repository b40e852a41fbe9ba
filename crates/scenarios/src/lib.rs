//! What each layer must withstand: scenarios of the layers, for the simulator.
